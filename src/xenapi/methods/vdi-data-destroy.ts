// VDI.data_destroy.

import { destroyVdiData } from '../../operations/destroy-vdi-data.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { refTo, voidType } from '../wire/values.ts'

export const vdiDataDestroy: SessionMethod = defineMethod({
  name: 'VDI.data_destroy',
  role: 'vm-admin',
  isAsync: true,
  parameters: { self: parameter(refTo('VDI')) },
  result: voidType,
  run: ({ context }, { self }) => destroyVdiData(context, self),
})
