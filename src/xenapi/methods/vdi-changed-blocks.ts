// Changed block tracking. diskport always knows what has changed, between any two VDIs; whether tracking
// is enabled is kept for clients, who look at it before they ask.

import { toRef } from '../../catalog/refs.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import { AppError } from '../../errors.ts'
import { listChangedBlocks } from '../../operations/list-changed-blocks.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { requireObject } from '../refs.ts'
import { refTo, voidType, wire } from '../wire/values.ts'

/** The types of VDI that XenAPI tracks changes of. */
const trackedTypes = ['user', 'system']

/** @throws AppError OPERATION_NOT_ALLOWED for a snapshot, VDI_INCOMPATIBLE_TYPE for a type that is not tracked */
const requireTracked = ({ uuid, isSnapshot, type }: VdiRow): void => {
  if (isSnapshot) throw new AppError('OPERATION_NOT_ALLOWED', [`VDI is a snapshot: ${toRef(uuid)}`])
  if (trackedTypes.includes(type)) return
  throw new AppError('VDI_INCOMPATIBLE_TYPE', [toRef(uuid), type], {
    message: `The VDI ${uuid} is of type ${type}; changes are tracked of ${trackedTypes.join(' and ')}`,
  })
}

const setTracking = (name: string, cbtEnabled: boolean): SessionMethod =>
  defineMethod({
    name,
    role: 'vm-admin',
    isAsync: true,
    parameters: { self: parameter(refTo('VDI')) },
    result: voidType,
    async run({ context: { catalog } }, { self }) {
      requireObject('VDI', self, await catalog.vdis.get(self))
      await catalog.vdis.update(self, (vdi) => {
        requireTracked(vdi)
        return vdi.cbtEnabled === cbtEnabled ? {} : { cbtEnabled }
      })
    },
  })

export const vdiChangedBlocksMethods: readonly SessionMethod[] = [
  setTracking('VDI.enable_cbt', true),
  setTracking('VDI.disable_cbt', false),
  defineMethod({
    name: 'VDI.list_changed_blocks',
    role: 'vm-operator',
    isAsync: true,
    isLarge: true,
    parameters: { vdi_from: parameter(refTo('VDI')), vdi_to: parameter(refTo('VDI')) },
    result: wire('string'),
    run: ({ context, signal }, args) =>
      listChangedBlocks(context.transfer, args.vdi_from, args.vdi_to, signal),
  }),
]
