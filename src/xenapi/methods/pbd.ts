// PBDs: made, plugged, unplugged and destroyed, by which administrators attach and detach storage repositories.

import { toRef } from '../../catalog/refs.ts'
import type { SrRow } from '../../catalog/srs.ts'
import { AppError } from '../../errors.ts'
import { pbdUuid, srOfPbd } from '../classes/pbd.ts'
import type { Call, SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { recordOf, required, withDefault } from '../wire/records.ts'
import { requireObject } from '../refs.ts'
import { hasRole } from '../roles.ts'
import { refTo, stringMap, voidType } from '../wire/values.ts'

const newPbd = recordOf('PBD', {
  host: required(refTo('host')),
  SR: required(refTo('SR')),
  device_config: withDefault(stringMap, {}),
  other_config: withDefault(stringMap, {}),
})

/** A call on the storage repository of one PBD. */
const callOn = (
  name: string,
  operation: 'mod' | 'del',
  run: (call: Call, sr: SrRow) => Promise<void>,
): SessionMethod =>
  defineMethod({
    name,
    role: 'pool-operator',
    isAsync: true,
    parameters: { self: parameter(refTo('PBD')) },
    result: voidType,
    async run(call, { self }) {
      const { context } = call
      await run(call, requireObject('PBD', self, await srOfPbd(context, self)))
      context.catalog.changes.emit('PBD', self, operation)
    },
  })

export const pbdMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'PBD.create',
    role: 'pool-operator',
    isAsync: true,
    parameters: { args: parameter(newPbd) },
    result: refTo('PBD'),
    async run({ context, identity }, { args }) {
      const { catalog, repositories } = context
      requireObject('host', args.host, await catalog.hosts.get(args.host))
      const sr = requireObject('SR', args.SR, await catalog.srs.get(args.SR))
      const uuid = pbdUuid(args.host, sr.uuid)
      if (sr.hasPbd) {
        throw new AppError('PBD_EXISTS', [toRef(sr.uuid), toRef(args.host), toRef(uuid)])
      }
      await repositories.createPbd(sr, {
        deviceConfig: args.device_config,
        otherConfig: args.other_config,
        mayNameAny: hasRole(identity, 'pool-admin'),
      })
      catalog.changes.emit('PBD', uuid, 'add')
      return uuid
    },
  }),
  callOn('PBD.destroy', 'del', ({ context }, sr) => context.repositories.destroyPbd(sr)),
  callOn('PBD.plug', 'mod', ({ context }, sr) => context.repositories.plug(sr)),
  callOn('PBD.unplug', 'mod', ({ context }, sr) => context.repositories.unplug(sr)),
]
