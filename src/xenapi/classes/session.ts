// session: looked up by the secret that its owner has, and by nothing else, so sessions cannot be
// listed. Its record does not hold the secret.

import type { SessionRow } from '../../catalog/users/sessions.ts'
import type { UserRow } from '../../catalog/users/users.ts'
import { toRef } from '../../refs.ts'
import { defineReadOnlyClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import { bool, datetime, optionalRefTo, refTo, setOf, string, stringMap } from '../wire/values.ts'

type Row = SessionRow & { readonly user: UserRow; readonly hostUuid: string }

const { field, constant } = fieldsFor<Row, Row, never>()

export const sessionClass = defineReadOnlyClass<Row>({
  name: 'session',
  isListed: false,
  find: async ({ catalog, hostUuid }, secret) => {
    const session = await catalog.sessions.find(toRef(secret))
    const user = session && (await catalog.users.get(session.userUuid))
    return session && user && { ...session, user, hostUuid }
  },
  list: async () => [],
  fields: [
    field('uuid', string, (session) => session.uuid),
    field('this_host', refTo('host'), (session) => session.hostUuid),
    field('this_user', refTo('user'), (session) => session.user.uuid),
    field('last_active', datetime, (session) => session.lastActiveAt),
    constant('pool', bool, false),
    constant('other_config', stringMap, {}),
    field('is_local_superuser', bool, (session) => session.user.role === 'pool-admin'),
    constant('subject', optionalRefTo('subject'), null),
    field('validation_time', datetime, (session) => session.createdAt),
    constant('auth_user_sid', string, ''),
    field('auth_user_name', string, (session) => session.user.name),
    field('rbac_permissions', setOf(string), (session) => [session.user.role]),
    constant('tasks', setOf(refTo('task')), []),
    constant('parent', optionalRefTo('session'), null),
    field('originator', string, (session) => session.originator),
    constant('client_certificate', bool, false),
  ],
})
