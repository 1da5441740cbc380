// VBD: the disks and CD drives of VMs.

import type { VbdChanges, VbdRow } from '../../catalog/vms/vbds.ts'
import { isDevice } from '../../catalog/vms/devices.ts'
import { AppError } from '../../errors.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import {
  bool,
  int,
  mapOf,
  oneOf,
  optionalRefTo,
  refTo,
  setOf,
  string,
  stringMap,
  stringUpTo,
} from '../wire/values.ts'
import { requireVmStays } from '../../operations/vm/require-vm-stays.ts'

const { field, constant, map } = fieldsFor<VbdRow, VbdRow, VbdChanges>()

export const vbdMode = oneOf<VbdRow['mode']>('vbd_mode', ['RO', 'RW'])
export const vbdType = oneOf<VbdRow['type']>('vbd_type', ['CD', 'Disk', 'Floppy'])

/** @throws AppError INVALID_DEVICE */
export const requireDevice = (device: string): string => {
  if (!isDevice(device)) throw new AppError('INVALID_DEVICE', [device.slice(0, 64)])
  return device
}

export const vbdClass = defineClass<VbdRow, VbdRow, VbdChanges>({
  name: 'VBD',
  writeRole: 'vm-admin',
  find: ({ catalog }, uuid) => catalog.vbds.get(uuid),
  list: ({ catalog }) => catalog.vbds.list(),
  update: (context, uuid, change) =>
    context.catalog.vbds.update(uuid, (vbd) => {
      requireVmStays(context, vbd.vmUuid)
      return change(vbd)
    }),
  fields: [
    field('uuid', string, (vbd) => vbd.uuid),
    constant('allowed_operations', setOf(string), []),
    constant('current_operations', mapOf(string, string), {}),
    field('VM', refTo('VM'), (vbd) => vbd.vmUuid),
    field('VDI', optionalRefTo('VDI'), (vbd) => vbd.vdiUuid),
    constant('device', string, ''),
    field(
      'userdevice',
      stringUpTo(64),
      (vbd) => vbd.userdevice,
      (userdevice) => ({ userdevice: requireDevice(userdevice) }),
    ),
    field(
      'bootable',
      bool,
      (vbd) => vbd.bootable,
      (bootable) => ({ bootable }),
    ),
    field(
      'mode',
      vbdMode,
      (vbd) => vbd.mode,
      (mode) => ({ mode }),
    ),
    field(
      'type',
      vbdType,
      (vbd) => vbd.type,
      (type) => ({ type }),
    ),
    field(
      'unpluggable',
      bool,
      (vbd) => vbd.unpluggable,
      (unpluggable) => ({ unpluggable }),
    ),
    constant('storage_lock', bool, false),
    field('empty', bool, (vbd) => vbd.vdiUuid === null),
    map(
      'other_config',
      (vbd) => vbd.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    constant('currently_attached', bool, false),
    constant('status_code', int, 0),
    constant('status_detail', string, ''),
    constant('runtime_properties', stringMap, {}),
    field(
      'qos_algorithm_type',
      string,
      (vbd) => vbd.qosAlgorithmType,
      (qosAlgorithmType) => ({ qosAlgorithmType }),
    ),
    map(
      'qos_algorithm_params',
      (vbd) => vbd.qosAlgorithmParams,
      (qosAlgorithmParams) => ({ qosAlgorithmParams }),
    ),
    constant('qos_supported_algorithms', setOf(string), []),
    constant('metrics', optionalRefTo('VBD_metrics'), null),
  ],
})
