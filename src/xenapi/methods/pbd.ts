// PBDs: made, plugged, unplugged and destroyed, by which administrators attach and detach storage
// repositories.

import type { OperationContext } from '../../operations/context.ts'
import { createPbd } from '../../operations/create-pbd.ts'
import { destroyPbd } from '../../operations/destroy-pbd.ts'
import { plugPbd } from '../../operations/plug-pbd.ts'
import { unplugPbd } from '../../operations/unplug-pbd.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { hasRole } from '../roles.ts'
import { recordOf, required, withDefault } from '../wire/records.ts'
import { refTo, stringMap, voidType } from '../wire/values.ts'

const newPbd = recordOf('PBD', {
  host: required(refTo('host')),
  SR: required(refTo('SR')),
  device_config: withDefault(stringMap, {}),
  other_config: withDefault(stringMap, {}),
})

const callOn = (
  name: string,
  operation: (context: OperationContext, pbdUuid: string) => Promise<void>,
): SessionMethod =>
  defineMethod({
    name,
    role: 'pool-operator',
    isAsync: true,
    parameters: { self: parameter(refTo('PBD')) },
    result: voidType,
    run: ({ context }, { self }) => operation(context, self),
  })

export const pbdMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'PBD.create',
    role: 'pool-operator',
    isAsync: true,
    parameters: { args: parameter(newPbd) },
    result: refTo('PBD'),
    run: ({ context, identity }, { args }) =>
      createPbd(context, {
        hostUuid: args.host,
        srUuid: args.SR,
        deviceConfig: args.device_config,
        otherConfig: args.other_config,
        mayNameAny: hasRole(identity, 'pool-admin'),
      }),
  }),
  callOn('PBD.destroy', destroyPbd),
  callOn('PBD.plug', plugPbd),
  callOn('PBD.unplug', unplugPbd),
]
