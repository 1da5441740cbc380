// Users: made, changed and removed by administrators; each changes the own password by
// session.change_password.

import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { recordOf, required, withDefault } from '../wire/records.ts'
import { roles } from '../roles.ts'
import { forField, oneOf, refTo, stringUpTo, voidType } from '../wire/values.ts'

const roleType = oneOf('role', roles)
const passwordType = stringUpTo(4096)

const newUser = recordOf('user', {
  short_name: required(stringUpTo(256)),
  password: required(passwordType),
  role: withDefault(roleType, 'read-only'),
})

const self = parameter(refTo('user'))

export const userMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'user.create',
    role: 'pool-admin',
    parameters: { args: parameter(newUser) },
    result: refTo('user'),
    async run({ context }, { args: { short_name: name, password, role } }) {
      return (await context.catalog.users.create({ name, password, role })).uuid
    },
  }),
  defineMethod({
    name: 'user.destroy',
    role: 'pool-admin',
    parameters: { self },
    result: voidType,
    run: ({ context }, { self }) => context.catalog.users.destroy(self),
  }),
  defineMethod({
    name: 'user.set_role',
    role: 'pool-admin',
    parameters: { self, value: parameter(forField(roleType, 'role')) },
    result: voidType,
    run: ({ context }, { self, value }) => context.catalog.users.setRole(self, value),
  }),
  defineMethod({
    name: 'user.set_password',
    role: 'pool-admin',
    parameters: { self, value: parameter(forField(passwordType, 'password')) },
    result: voidType,
    run: ({ context }, { self, value }) => context.catalog.users.setPassword(self, value),
  }),
  defineMethod({
    name: 'session.change_password',
    role: 'read-only',
    parameters: { old_pwd: parameter(passwordType), new_pwd: parameter(passwordType) },
    result: voidType,
    async run({ context, identity, origin }, { old_pwd: old, new_pwd: password }) {
      const { catalog, authenticate } = context
      const basic = { user: identity.user.name, password: old }
      const { user } = await authenticate({ basic }, origin)
      const { sessionRef } = identity
      const session = sessionRef === undefined ? undefined : await catalog.sessions.find(sessionRef)
      await catalog.users.setPassword(user.uuid, password, session?.uuid)
    },
  }),
]
