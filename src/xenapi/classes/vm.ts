// VM: virtual machines as records. They name disks and networks, and are always halted.

import type { VmRow } from '../../catalog/vms/vm-rows.ts'
import type { VmChanges } from '../../catalog/vms/vms.ts'
import { requireVmStays } from '../../operations/vm/require-vm-stays.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { ObjectContext } from '../object-context.ts'
import { allowedVmOperations, currentVmOperations } from '../vm-operations.ts'
import {
  bool,
  datetime,
  int,
  mapOf,
  optionalRefTo,
  refTo,
  setOf,
  string,
  stringMap,
} from '../wire/values.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'
import { vmSettings } from './vm-settings.ts'

interface Row extends VmRow {
  readonly vbdUuids: readonly string[]
  readonly vifUuids: readonly string[]
  readonly snapshotUuids: readonly string[]
  readonly childUuids: readonly string[]
  /** Who moves it. */
  readonly mover: string | undefined
}

const { field, constant, map, set } = fieldsFor<Row, VmRow, VmChanges>()

type Named = { readonly uuid: string }

const uuidsOf = (rows: readonly Named[] = []): string[] => rows.map(({ uuid }) => uuid)

const load = async ({ catalog, vmLeases }: ObjectContext, vm: VmRow): Promise<Row> => ({
  ...vm,
  mover: vmLeases.holder(vm.uuid),
  vbdUuids: uuidsOf(await catalog.vbds.ofVm(vm.uuid)),
  vifUuids: uuidsOf(await catalog.vifs.ofVm(vm.uuid)),
  snapshotUuids: uuidsOf(await catalog.vms.snapshotsOf(vm.uuid)),
  childUuids: uuidsOf(await catalog.vms.childrenOf(vm.uuid)),
})

const loadAll = async ({ catalog, vmLeases }: ObjectContext): Promise<Row[]> => {
  const vms = await catalog.vms.list()
  const vbds = Map.groupBy(await catalog.vbds.list(), ({ vmUuid }) => vmUuid)
  const vifs = Map.groupBy(await catalog.vifs.list(), ({ vmUuid }) => vmUuid)
  const snapshots = Map.groupBy(vms, ({ snapshotOfUuid }) => snapshotOfUuid)
  const children = Map.groupBy(vms, ({ parentUuid }) => parentUuid)
  return vms.map((vm) => ({
    ...vm,
    mover: vmLeases.holder(vm.uuid),
    vbdUuids: uuidsOf(vbds.get(vm.uuid)),
    vifUuids: uuidsOf(vifs.get(vm.uuid)),
    snapshotUuids: uuidsOf(snapshots.get(vm.uuid)),
    childUuids: uuidsOf(children.get(vm.uuid)),
  }))
}

const shownMetadata = ({ metadata }: Row): string =>
  metadata === null ? '' : JSON.stringify(metadata)

/** As XenServer tells it of a snapshot of a VM that does not run. */
const snapshotInfo = ({ isSnapshot }: Row) =>
  isSnapshot
    ? { 'power-state-at-snapshot': 'Halted', 'disk-snapshot-type': 'crash_consistent' }
    : {}

const identity = [
  field<string>('uuid', string, (vm: Row) => vm.uuid),
  field('allowed_operations', setOf(string), (vm: Row) => allowedVmOperations(vm, vm.mover)),
  field('current_operations', mapOf(string, string), (vm: Row) => currentVmOperations(vm.mover)),
  field(
    'name_label',
    nameLabelType,
    (vm: Row) => vm.nameLabel,
    (nameLabel) => ({ nameLabel }),
  ),
  field(
    'name_description',
    nameDescriptionType,
    (vm: Row) => vm.nameDescription,
    (nameDescription) => ({ nameDescription }),
  ),
  constant('power_state', string, 'Halted'),
  field(
    'is_a_template',
    bool,
    (vm: Row) => vm.isTemplate,
    (isTemplate) => ({ isTemplate }),
  ),
  map(
    'other_config',
    (vm) => vm.otherConfig,
    (otherConfig) => ({ otherConfig }),
  ),
  {
    ...set(
      'tags',
      (vm) => vm.tags,
      (tags) => ({ tags }),
    ),
    writeRole: 'vm-operator' as const,
  },
]

const relations = [
  field('VBDs', setOf(refTo('VBD')), (vm: Row) => vm.vbdUuids),
  field('VIFs', setOf(refTo('VIF')), (vm: Row) => vm.vifUuids),
  field('is_a_snapshot', bool, (vm: Row) => vm.isSnapshot),
  field('snapshot_of', optionalRefTo('VM'), (vm: Row) => vm.snapshotOfUuid),
  field('snapshots', setOf(refTo('VM')), (vm: Row) => vm.snapshotUuids),
  field('snapshot_time', datetime, (vm: Row) => vm.snapshotTime ?? new Date(0)),
  field('snapshot_info', stringMap, snapshotInfo),
  field('snapshot_metadata', string, shownMetadata),
  field('parent', optionalRefTo('VM'), (vm: Row) => vm.parentUuid),
  field('children', setOf(refTo('VM')), (vm: Row) => vm.childUuids),
]

/** What only a VM that runs has, or a server that runs VMs. */
const absent = [
  constant('suspend_VDI', optionalRefTo('VDI'), null),
  constant('resident_on', optionalRefTo('host'), null),
  constant('scheduled_to_be_resident_on', optionalRefTo('host'), null),
  constant('consoles', setOf(refTo('console')), []),
  constant('VUSBs', setOf(refTo('VUSB')), []),
  constant('crash_dumps', setOf(refTo('crashdump')), []),
  constant('VTPMs', setOf(refTo('VTPM')), []),
  constant('domid', int, -1),
  constant('domarch', string, ''),
  constant('is_control_domain', bool, false),
  constant('metrics', optionalRefTo('VM_metrics'), null),
  constant('guest_metrics', optionalRefTo('VM_guest_metrics'), null),
  constant('blobs', mapOf(string, refTo('blob')), {}),
  constant('protection_policy', optionalRefTo('VMPP'), null),
  constant('snapshot_schedule', optionalRefTo('VMSS'), null),
  constant('appliance', optionalRefTo('VM_appliance'), null),
  constant('VGPUs', setOf(refTo('VGPU')), []),
  constant('attached_PCIs', setOf(refTo('PCI')), []),
  constant('requires_reboot', bool, false),
  constant('pending_guidances', setOf(string), []),
  constant('pending_guidances_recommended', setOf(string), []),
  constant('pending_guidances_full', setOf(string), []),
  constant('groups', setOf(refTo('VM_group')), []),
]

export const vmClass = defineClass<Row, VmRow, VmChanges>({
  name: 'VM',
  writeRole: 'vm-admin',
  find: async (context, uuid) => {
    const vm = await context.catalog.vms.get(uuid)
    return vm && load(context, vm)
  },
  list: loadAll,
  update: (context, uuid, change) =>
    context.catalog.vms.update(uuid, (vm) => {
      requireVmStays(context, uuid)
      return change(vm)
    }),
  fields: [...identity, ...vmSettings.map((setting) => setting.field), ...relations, ...absent],
})
