// Login and logout.

import type { Method } from '../method.ts'
import { defineMethod, defineOpenMethod, optional, parameter } from '../method.ts'
import { string, stringUpTo, voidType, wire } from '../wire/values.ts'

/** In UTF-16 units; what is longer than any real one. */
const credential = stringUpTo(4096)

export const sessionMethods: readonly Method[] = [
  defineOpenMethod({
    name: 'session.login_with_password',
    parameters: {
      uname: parameter(credential),
      pwd: parameter(credential),
      /** Of the API that the client speaks; XenServer ignores it too. */
      version: optional(string, ''),
      originator: optional(stringUpTo(256), ''),
    },
    result: wire('session ref'),
    async run({ context, origin }, { uname, pwd, originator }) {
      const basic = { user: uname, password: pwd }
      const { user } = await context.authenticate({ basic }, origin)
      const session = await context.catalog.sessions.create({ userUuid: user.uuid, originator })
      return session.ref
    },
  }),
  defineMethod({
    name: 'session.logout',
    role: 'read-only',
    parameters: {},
    result: voidType,
    async run({ context, identity }) {
      if (identity.sessionRef !== undefined) {
        await context.catalog.sessions.destroy(identity.sessionRef)
      }
    },
  }),
]
