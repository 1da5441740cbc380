// PBD: how a host is attached to a storage repository: to each, as long as its folder is there.

import type { StringMap } from '../../catalog/schema.ts'
import { defineReadOnlyClass } from '../class.ts'
import type { ObjectContext } from '../context.ts'
import { derivedUuid } from '../derived-uuid.ts'
import { fieldsFor } from '../fields.ts'
import { bool, refTo, string, stringMap } from '../values.ts'

interface Row {
  readonly uuid: string
  readonly hostUuid: string
  readonly srUuid: string
  readonly deviceConfig: StringMap
  readonly isAttached: boolean
}

const { field, constant } = fieldsFor<Row, Row, never>()

export const pbdUuid = (hostUuid: string, srUuid: string): string =>
  derivedUuid('PBD', hostUuid, srUuid)

const list = async ({ catalog, hostUuid, transfer }: ObjectContext): Promise<Row[]> =>
  (await catalog.srs.list()).map(({ uuid: srUuid, deviceConfig }) => ({
    uuid: pbdUuid(hostUuid, srUuid),
    hostUuid,
    srUuid,
    deviceConfig,
    isAttached: transfer.storage.isAttached(srUuid),
  }))

export const pbdClass = defineReadOnlyClass<Row>({
  name: 'PBD',
  find: async (context, uuid) => (await list(context)).find((pbd) => pbd.uuid === uuid),
  list,
  fields: [
    field('uuid', string, (pbd) => pbd.uuid),
    field('host', refTo('host'), (pbd) => pbd.hostUuid),
    field('SR', refTo('SR'), (pbd) => pbd.srUuid),
    field('device_config', stringMap, (pbd) => pbd.deviceConfig),
    field('currently_attached', bool, (pbd) => pbd.isAttached),
    constant('other_config', stringMap, {}),
  ],
})
