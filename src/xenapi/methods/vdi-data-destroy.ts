// VDI.data_destroy: a snapshot keeps the map of its blocks, to tell what has changed since, and gives
// up its data.

import { toRef } from '../../catalog/refs.ts'
import { AppError } from '../../errors.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { requireObject } from '../refs.ts'
import { refTo, voidType } from '../wire/values.ts'

export const vdiDataDestroy: SessionMethod = defineMethod({
  name: 'VDI.data_destroy',
  role: 'vm-admin',
  isAsync: true,
  parameters: { self: parameter(refTo('VDI')) },
  result: voidType,
  async run({ context }, { self }) {
    const { catalog, storage, transfer } = context
    const vdi = requireObject('VDI', self, await catalog.vdis.get(self))
    const user = storage.busy(self)
    if (user !== undefined) throw new AppError('VDI_IN_USE', [toRef(self), user])
    await catalog.keptMaps.destroyData(self)
    // The answer means that the room is free, but for what others still need or read.
    await transfer.storage.upkeep.collectNow(vdi.srUuid)
  },
})
