// PBD: how a host is attached to a storage repository. Here each host is attached to each.

import { defineReadOnlyClass } from '../class.ts'
import type { ObjectContext } from '../context.ts'
import { derivedUuid } from '../derived-uuid.ts'
import { fieldsFor } from '../fields.ts'
import { bool, refTo, string, stringMap } from '../values.ts'

interface Row {
  readonly uuid: string
  readonly hostUuid: string
  readonly srUuid: string
}

const { field, constant } = fieldsFor<Row, Row, never>()

export const pbdUuid = (hostUuid: string, srUuid: string): string =>
  derivedUuid('PBD', hostUuid, srUuid)

const list = async ({ catalog, hostUuid }: ObjectContext): Promise<Row[]> =>
  (await catalog.srs.list()).map(({ uuid: srUuid }) => ({
    uuid: pbdUuid(hostUuid, srUuid),
    hostUuid,
    srUuid,
  }))

export const pbdClass = defineReadOnlyClass<Row>({
  name: 'PBD',
  find: async (context, uuid) => (await list(context)).find((pbd) => pbd.uuid === uuid),
  list,
  fields: [
    field('uuid', string, (pbd) => pbd.uuid),
    field('host', refTo('host'), (pbd) => pbd.hostUuid),
    field('SR', refTo('SR'), (pbd) => pbd.srUuid),
    constant('device_config', stringMap, {}),
    constant('currently_attached', bool, true),
    constant('other_config', stringMap, {}),
  ],
})
