// host_metrics: the memory of the machine, and that it lives.

import { freemem, totalmem } from 'node:os'
import { defineReadOnlyClass } from '../class.ts'
import type { ObjectContext } from '../object-context.ts'
import { derivedUuid } from '../../catalog/derived-uuid.ts'
import { fieldsFor } from '../fields.ts'
import { bool, datetime, int, string, stringMap } from '../wire/values.ts'

interface Row {
  readonly uuid: string
  readonly hostUuid: string
}

const { field, constant } = fieldsFor<Row, Row, never>()

export const hostMetricsUuid = (hostUuid: string): string => derivedUuid('host_metrics', hostUuid)

const list = async ({ catalog }: ObjectContext): Promise<Row[]> =>
  (await catalog.hosts.list()).map(({ uuid }) => ({ uuid: hostMetricsUuid(uuid), hostUuid: uuid }))

export const hostMetricsClass = defineReadOnlyClass<Row>({
  name: 'host_metrics',
  find: async (context, uuid) => (await list(context)).find((metrics) => metrics.uuid === uuid),
  list,
  fields: [
    field('uuid', string, (metrics) => metrics.uuid),
    field('memory_total', int, () => totalmem()),
    field('memory_free', int, () => freemem()),
    constant('live', bool, true),
    field('last_updated', datetime, () => new Date()),
    constant('other_config', stringMap, {}),
  ],
})
