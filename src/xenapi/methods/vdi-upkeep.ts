// What administrators ask of a VDI beside its content: to be looked at again, to be unlocked; and
// how NBD reaches it.

import { METADATA_ONLY } from '../../catalog/schema.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import { AppError } from '../../errors.ts'
import { refreshVdi } from '../../operations/refresh-vdi.ts'
import type { XenApiContext } from '../context.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { requireObject } from '../wire/require-uuid.ts'
import { refTo, voidType, wire } from '../wire/values.ts'
import { vdiIncompatibleType } from '../../object-errors.ts'

const requireVdi = async ({ catalog }: XenApiContext, uuid: string): Promise<VdiRow> =>
  requireObject('VDI', uuid, await catalog.vdis.get(uuid))

export const vdiUpkeepMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'VDI.update',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi: parameter(refTo('VDI')) },
    result: voidType,
    run: ({ context }, { vdi }) => refreshVdi(context, vdi),
  }),
  defineMethod({
    name: 'VDI.force_unlock',
    role: 'vm-admin',
    isAsync: true,
    parameters: { vdi: parameter(refTo('VDI')) },
    result: voidType,
    async run({ context }, { vdi }) {
      await requireVdi(context, vdi)
      // As in XenServer: a transfer that holds a VDI is stopped by its task.
      throw new AppError('MESSAGE_DEPRECATED', [])
    },
  }),
  defineMethod({
    name: 'VDI.get_nbd_info',
    role: 'vm-admin',
    parameters: { self: parameter(refTo('VDI')) },
    result: wire('vdi_nbd_server_info set'),
    async run({ context }, { self }) {
      const { type } = await requireVdi(context, self)
      if (type === METADATA_ONLY) {
        const message = `The VDI ${self} keeps only what has changed, there is no content to read`
        throw vdiIncompatibleType(self, type, message)
      }
      // No network of XenServer's carries NBD here.
      return []
    },
  }),
]
