// message: alerts of XenServer. diskport writes a log instead, so there are none; clients ask all
// the same.

import { defineReadOnlyClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import { datetime, int, string } from '../wire/values.ts'

interface Row {
  readonly uuid: string
}

const { field, constant } = fieldsFor<Row, Row, never>()

export const messageClass = defineReadOnlyClass<Row>({
  name: 'message',
  find: async () => undefined,
  list: async () => [],
  fields: [
    field('uuid', string, (message) => message.uuid),
    constant('name', string, ''),
    constant('priority', int, 0),
    constant('cls', string, ''),
    constant('obj_uuid', string, ''),
    constant('timestamp', datetime, new Date(0)),
    constant('body', string, ''),
  ],
})
