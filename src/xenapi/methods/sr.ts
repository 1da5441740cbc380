// SRs: what there is to say of one. Sizes and contents are looked at when they are asked for, so a
// scan has nothing left to do.

import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { requireObject } from '../refs.ts'
import { refTo, setOf, string, voidType } from '../values.ts'

const lookAt = (name: string): SessionMethod =>
  defineMethod({
    name,
    role: 'vm-power-admin',
    isAsync: true,
    parameters: { sr: parameter(refTo('SR')) },
    result: voidType,
    async run({ context }, { sr }) {
      requireObject('SR', sr, await context.catalog.srs.get(sr))
    },
  })

export const srMethods: readonly SessionMethod[] = [
  lookAt('SR.scan'),
  lookAt('SR.update'),
  defineMethod({
    name: 'SR.get_supported_types',
    role: 'read-only',
    parameters: {},
    result: setOf(string),
    run: async ({ context }) => (await context.catalog.sms.list()).map((sm) => sm.type),
  }),
]
