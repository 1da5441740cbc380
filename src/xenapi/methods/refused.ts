// Calls that clients know and diskport cannot make: each says so. They are not in system.listMethods,
// by which clients find out what a server can do.

import { AppError } from '../../errors.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional } from '../method.ts'
import { voidType, wire } from '../values.ts'

const names = ['SR.introduce', 'SR.probe']

/** More than any of them takes: what is refused is the call, not its form. */
const anything = Object.fromEntries(
  Array.from({ length: 16 }, (_, index) => [`argument ${index}`, optional(wire('any'), null)]),
)

export const refusedMethods: readonly SessionMethod[] = names.map((name) =>
  defineMethod({
    name,
    role: 'read-only',
    isAsync: true,
    parameters: anything,
    result: voidType,
    async run() {
      throw new AppError('NOT_IMPLEMENTED', [name])
    },
  }),
)
