// The use case of host.migrate_receive: lets one VM in, from whoever shows the secret that it
// gives.

import type { IncomingMoveRow } from '../catalog/moves/incoming-moves.ts'
import { AppError } from '../errors.ts'
import { handleInvalid } from '../object-errors.ts'
import { toRef } from '../refs.ts'
import type { OperationContext } from './context.ts'

interface ReceiveRequest {
  readonly userUuid: string
  readonly hostUuid: string
  readonly networkUuid: string
}

/**
 * @throws AppError HANDLE_INVALID for a host or a network that is not there;
 *   HOST_CANNOT_ATTACH_NETWORK for a host that is not this server; TOO_BUSY
 */
export const receiveVm = async (
  { catalog, hostUuid: own }: OperationContext,
  { userUuid, hostUuid, networkUuid }: ReceiveRequest,
): Promise<IncomingMoveRow & { readonly secret: string }> => {
  if ((await catalog.hosts.get(hostUuid)) === undefined) throw handleInvalid('host', hostUuid)
  if ((await catalog.networks.get(networkUuid)) === undefined) {
    throw handleInvalid('network', networkUuid)
  }
  if (hostUuid !== own) {
    throw new AppError('HOST_CANNOT_ATTACH_NETWORK', [toRef(hostUuid), toRef(networkUuid)])
  }
  return catalog.incomingMoves.open({ userUuid, networkUuid })
}
