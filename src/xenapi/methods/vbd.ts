// VBDs come and go with calls; what would plug or change a medium is refused: no VM runs here.

import { AppError } from '../../errors.ts'
import { handleInvalid, vmIsHalted } from '../../object-errors.ts'
import type { VbdRow } from '../../catalog/vms/vbds.ts'
import { toRef } from '../../refs.ts'
import { createVbd } from '../../operations/create-vbd.ts'
import { requireDevice, vbdMode, vbdType } from '../classes/vbd.ts'
import type { XenApiContext } from '../context.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { recordOf, required, withDefault } from '../wire/records.ts'
import { requireObject } from '../wire/require-uuid.ts'
import { bool, optionalRefTo, refTo, string, stringMap, voidType } from '../wire/values.ts'
import { requireVmStays } from '../../operations/vm/require-vm-stays.ts'

const newVbd = recordOf('VBD', {
  VM: required(refTo('VM')),
  VDI: withDefault(optionalRefTo('VDI'), null),
  userdevice: withDefault(string, 'autodetect'),
  bootable: withDefault(bool, false),
  mode: withDefault(vbdMode, 'RW'),
  type: withDefault(vbdType, 'Disk'),
  unpluggable: withDefault(bool, true),
  empty: withDefault(bool, false),
  other_config: withDefault(stringMap, {}),
  qos_algorithm_type: withDefault(string, ''),
  qos_algorithm_params: withDefault(stringMap, {}),
})

const requireVbd = async ({ catalog }: XenApiContext, uuid: string): Promise<VbdRow> =>
  requireObject('VBD', uuid, await catalog.vbds.get(uuid))

const vbd = parameter(refTo('VBD'))

const plugging = (name: string): SessionMethod =>
  defineMethod({
    name: `VBD.${name}`,
    role: 'vm-admin',
    isAsync: true,
    parameters: { self: vbd },
    result: voidType,
    async run({ context }, { self }) {
      throw vmIsHalted((await requireVbd(context, self)).vmUuid, 'running')
    },
  })

const noMedia = 'No VM runs here, so no medium is changed: make another VBD'

export const vbdMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VBD.create',
    role: 'vm-admin',
    isAsync: true,
    parameters: { args: parameter(newVbd) },
    result: refTo('VBD'),
    async run({ context, task }, { args }) {
      const vdiUuid = args.empty ? null : args.VDI
      if (!args.empty && args.VDI === null) throw handleInvalid('VDI', 'NULL')
      const { userdevice } = args
      const row = {
        vmUuid: args.VM,
        vdiUuid,
        userdevice: userdevice === 'autodetect' ? userdevice : requireDevice(userdevice),
        bootable: args.bootable,
        mode: args.mode,
        type: args.type,
        unpluggable: args.unpluggable,
        otherConfig: args.other_config,
        qosAlgorithmType: args.qos_algorithm_type,
        qosAlgorithmParams: args.qos_algorithm_params,
      }
      return createVbd(context, row, task.ref)
    },
  }),
  defineMethod({
    name: 'VBD.destroy',
    role: 'vm-admin',
    isAsync: true,
    parameters: { self: vbd },
    result: voidType,
    async run({ context, task }, { self }) {
      const { vmUuid } = requireObject('VBD', self, await context.catalog.vbds.get(self))
      requireVmStays(context, vmUuid)
      await context.catalog.vbds.destroy(self, task.ref)
    },
  }),
  plugging('plug'),
  plugging('unplug'),
  plugging('unplug_force'),
  defineMethod({
    name: 'VBD.insert',
    role: 'vm-operator',
    isAsync: true,
    parameters: { vbd, vdi: parameter(refTo('VDI')) },
    result: voidType,
    async run({ context }, args) {
      const { type, vdiUuid } = await requireVbd(context, args.vbd)
      if (type !== 'CD') throw new AppError('VBD_NOT_REMOVABLE_MEDIA', [toRef(args.vbd)])
      if (vdiUuid !== null) throw new AppError('VBD_NOT_EMPTY', [toRef(args.vbd)])
      throw new AppError('OPERATION_NOT_ALLOWED', [noMedia])
    },
  }),
  defineMethod({
    name: 'VBD.eject',
    role: 'vm-operator',
    isAsync: true,
    parameters: { vbd },
    result: voidType,
    async run({ context }, args) {
      const { type, vdiUuid } = await requireVbd(context, args.vbd)
      if (type !== 'CD') throw new AppError('VBD_NOT_REMOVABLE_MEDIA', [toRef(args.vbd)])
      if (vdiUuid === null) throw new AppError('VBD_IS_EMPTY', [toRef(args.vbd)])
      throw new AppError('OPERATION_NOT_ALLOWED', [noMedia])
    },
  }),
]
