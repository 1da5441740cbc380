// host.migrate_receive: this server as the destination of a VM.

import { AppError } from '../../errors.ts'
import { receiveVm } from '../../operations/receive-vm.ts'
import { toRef } from '../../refs.ts'
import type { XenApiContext } from '../context.ts'
import type { SessionMethod } from '../method.ts'
import { defineMethod, optional, parameter } from '../method.ts'
import type { Origin } from '../origin.ts'
import { refTo, stringMap } from '../wire/values.ts'

/** @throws AppError OPERATION_NOT_ALLOWED where no client could tell and nobody has said it */
const urlOf = ({ advertisedUrl }: XenApiContext, { serverUrl }: Origin): string => {
  const url = advertisedUrl ?? serverUrl
  if (url !== undefined) return url
  const message = 'How others reach this server is not known here: start it with --advertise URL'
  throw new AppError('OPERATION_NOT_ALLOWED', [message])
}

export const hostMigrateReceive: SessionMethod = defineMethod({
  name: 'host.migrate_receive',
  // Never behind a task, whose result others may read: it is a secret.
  role: 'vm-power-admin',
  parameters: {
    host: parameter(refTo('host')),
    network: parameter(refTo('network')),
    /** XenServer takes none either. */
    options: optional(stringMap, {}),
  },
  result: stringMap,
  async run({ context, identity, origin }, { host, network }) {
    const url = urlOf(context, origin)
    const request = { userUuid: identity.user.uuid, hostUuid: host, networkUuid: network }
    const { secret } = await receiveVm(context, request)
    return {
      SM: `${url}/services/SM?session_id=${secret}`,
      xenops: `${url}/services/xenops?session_id=${secret}`,
      master: `${url}/`,
      host: toRef(host),
      session_id: secret,
    }
  },
})
