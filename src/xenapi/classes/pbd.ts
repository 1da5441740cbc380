// PBD: how a host is attached to a storage repository. Each storage repository has one at most,
// which comes and goes by SR.create, SR.forget and the calls of methods/pbd.ts.

import type { SrTable, StringMap } from '../../catalog/schema.ts'
import type { SrUpdate, SrRow } from '../../catalog/srs.ts'
import { pbdUuid, requireSrOfPbd, srOfPbd, tellOfPbd } from '../../operations/sr/pbds.ts'
import { defineClass } from '../class.ts'
import type { ObjectContext } from '../object-context.ts'
import { fieldsFor } from '../fields.ts'
import { bool, refTo, string, stringMap } from '../wire/values.ts'

interface Row extends Pick<SrTable, 'pbdOtherConfig'> {
  readonly uuid: string
  readonly hostUuid: string
  readonly srUuid: string
  readonly deviceConfig: StringMap
  readonly isAttached: boolean
}

const { field, map } = fieldsFor<Row, Pick<SrTable, 'pbdOtherConfig'>, SrUpdate>()

/** None for a storage repository that has none. */
export const pbdUuidsOf = (hostUuid: string, srs: readonly SrRow[]): string[] =>
  srs.filter(({ hasPbd }) => hasPbd).map(({ uuid }) => pbdUuid(hostUuid, uuid))

const toRow = (
  { hostUuid, storage }: ObjectContext,
  { uuid: srUuid, deviceConfig, pbdOtherConfig }: SrRow,
): Row => ({
  uuid: pbdUuid(hostUuid, srUuid),
  hostUuid,
  srUuid,
  deviceConfig,
  pbdOtherConfig,
  isAttached: storage.stores.isAttached(srUuid),
})

export const pbdClass = defineClass<Row, Pick<SrTable, 'pbdOtherConfig'>, SrUpdate>({
  name: 'PBD',
  writeRole: 'pool-operator',
  find: async (context, uuid) => {
    const sr = await srOfPbd(context, uuid)
    return sr && toRow(context, sr)
  },
  list: async (context) =>
    (await context.catalog.srs.list())
      .filter(({ hasPbd }) => hasPbd)
      .map((sr) => toRow(context, sr)),
  async update(context, uuid, change) {
    const sr = await requireSrOfPbd(context, uuid)
    await context.catalog.srs.update(sr.uuid, change)
    tellOfPbd(context, sr.uuid, 'mod')
  },
  fields: [
    field('uuid', string, (pbd) => pbd.uuid),
    field('host', refTo('host'), (pbd) => pbd.hostUuid),
    field('SR', refTo('SR'), (pbd) => pbd.srUuid),
    field('device_config', stringMap, (pbd) => pbd.deviceConfig),
    field('currently_attached', bool, (pbd) => pbd.isAttached),
    map(
      'other_config',
      (pbd) => pbd.pbdOtherConfig,
      (pbdOtherConfig) => ({ pbdOtherConfig }),
    ),
  ],
})
