// user: who may log in, and what each may do. Made and changed by methods/user.ts.

import type { UserRow } from '../../catalog/users/users.ts'
import { defineReadOnlyClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import { string, stringMap } from '../wire/values.ts'

const { field, constant } = fieldsFor<UserRow, UserRow, never>()

export const userClass = defineReadOnlyClass<UserRow>({
  name: 'user',
  find: ({ catalog }, uuid) => catalog.users.get(uuid),
  list: ({ catalog }) => catalog.users.list(),
  fields: [
    field('uuid', string, (user) => user.uuid),
    field('short_name', string, (user) => user.name),
    field('fullname', string, (user) => user.name),
    field('role', string, (user) => user.role),
    constant('other_config', stringMap, {}),
  ],
})
