// VDI: virtual disks.

import type { VdiUpdate, VdiRow } from '../../catalog/vdis.ts'
import type { VbdRow } from '../../catalog/vms/vbds.ts'
import { requireVdiStays } from '../../operations/vm/require-vm-stays.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { ObjectContext } from '../object-context.ts'
import { changedSmConfig, shownSmConfig } from '../image-format.ts'
import type { VdiUse } from '../vdi-operations.ts'
import { allowedOperations, currentOperations } from '../vdi-operations.ts'
import {
  bool,
  datetime,
  int,
  mapOf,
  oneOf,
  optionalRefTo,
  refTo,
  setOf,
  string,
} from '../wire/values.ts'
import { nameDescriptionType, nameLabelType } from './names.ts'

interface Row extends VdiRow {
  readonly use: VdiUse | undefined
  readonly snapshotUuids: readonly string[]
  readonly vbdUuids: readonly string[]
  readonly physicalUtilisation: number
}

const { field, constant, map, set } = fieldsFor<Row, VdiRow, VdiUpdate>()

const useOf = ({ leases }: ObjectContext, uuid: string): VdiUse | undefined => {
  const [holder, operation] = [leases.holder(uuid), leases.operation(uuid)]
  return holder === undefined || operation === undefined ? undefined : { holder, operation }
}

const toRow = (
  context: ObjectContext,
  vdi: VdiRow,
  related: { readonly snapshots: readonly VdiRow[]; readonly vbds: readonly VbdRow[] },
  physicalUtilisation: number,
): Row => ({
  ...vdi,
  use: useOf(context, vdi.uuid),
  snapshotUuids: related.snapshots.map((snapshot) => snapshot.uuid),
  vbdUuids: related.vbds.map((vbd) => vbd.uuid),
  physicalUtilisation,
})

export const vdiClass = defineClass<Row, VdiRow, VdiUpdate>({
  name: 'VDI',
  writeRole: 'vm-admin',
  find: async (context, uuid) => {
    const { vdis, vbds, utilisation } = context.catalog
    const vdi = await vdis.get(uuid)
    if (vdi === undefined) return undefined
    const related = { snapshots: await vdis.snapshotsOf(uuid), vbds: await vbds.ofVdi(uuid) }
    return toRow(context, vdi, related, await utilisation.ofVdi(vdi))
  },
  list: async (context) => {
    const vdis = await context.catalog.vdis.list()
    const snapshots = Map.groupBy(vdis, (vdi) => vdi.snapshotOfUuid)
    const vbds = Map.groupBy(await context.catalog.vbds.list(), ({ vdiUuid }) => vdiUuid)
    const bytes = await context.catalog.utilisation.ofVdis()
    return vdis.map((vdi) => {
      const { uuid } = vdi
      const related = { snapshots: snapshots.get(uuid) ?? [], vbds: vbds.get(uuid) ?? [] }
      return toRow(context, vdi, related, bytes.get(uuid) ?? 0)
    })
  },
  uuids: ({ catalog }) => catalog.vdis.uuids(),
  update: (context, uuid, change) =>
    context.catalog.vdis.update(uuid, (vdi) => {
      requireVdiStays(context, uuid)
      return change(vdi)
    }),
  fields: [
    field('uuid', string, (vdi) => vdi.uuid),
    field(
      'name_label',
      nameLabelType,
      (vdi) => vdi.nameLabel,
      (nameLabel) => ({ nameLabel }),
    ),
    field(
      'name_description',
      nameDescriptionType,
      (vdi) => vdi.nameDescription,
      (nameDescription) => ({ nameDescription }),
    ),
    field('allowed_operations', setOf(string), (vdi) => allowedOperations(vdi, vdi.use)),
    field('current_operations', mapOf(string, string), (vdi) => currentOperations(vdi.use)),
    field('SR', refTo('SR'), (vdi) => vdi.srUuid),
    field('VBDs', setOf(refTo('VBD')), (vdi) => vdi.vbdUuids),
    constant('crash_dumps', setOf(refTo('crashdump')), []),
    field('virtual_size', int, (vdi) => vdi.virtualSize),
    field('physical_utilisation', int, (vdi) => vdi.physicalUtilisation),
    field('type', string, (vdi) => vdi.type),
    field(
      'sharable',
      bool,
      (vdi) => vdi.sharable,
      (sharable) => ({ sharable }),
    ),
    field(
      'read_only',
      bool,
      (vdi) => vdi.readOnly,
      (readOnly) => ({ readOnly }),
    ),
    map(
      'other_config',
      (vdi) => vdi.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    field('storage_lock', bool, (vdi) => vdi.use !== undefined),
    field('location', string, (vdi) => vdi.uuid),
    constant('managed', bool, true),
    field('missing', bool, (vdi) => vdi.missing),
    constant('parent', optionalRefTo('VDI'), null),
    map(
      'xenstore_data',
      (vdi) => vdi.xenstoreData,
      (xenstoreData) => ({ xenstoreData }),
    ),
    map('sm_config', shownSmConfig, (smConfig, vdi) => ({
      smConfig: changedSmConfig(smConfig, vdi),
    })),
    field('is_a_snapshot', bool, (vdi) => vdi.isSnapshot),
    field('snapshot_of', optionalRefTo('VDI'), (vdi) => vdi.snapshotOfUuid),
    field('snapshots', setOf(refTo('VDI')), (vdi) => vdi.snapshotUuids),
    field('snapshot_time', datetime, (vdi) => vdi.snapshotTime ?? new Date(0)),
    set(
      'tags',
      (vdi) => vdi.tags,
      (tags) => ({ tags }),
    ),
    field(
      'allow_caching',
      bool,
      (vdi) => vdi.allowCaching,
      (allowCaching) => ({ allowCaching }),
    ),
    field(
      'on_boot',
      oneOf<VdiRow['onBoot']>('on_boot', ['persist', 'reset']),
      (vdi) => vdi.onBoot,
      (onBoot) => ({ onBoot }),
    ),
    constant('metadata_of_pool', optionalRefTo('pool'), null),
    constant('metadata_latest', bool, false),
    constant('is_tools_iso', bool, false),
    field('cbt_enabled', bool, (vdi) => vdi.cbtEnabled),
  ],
})
