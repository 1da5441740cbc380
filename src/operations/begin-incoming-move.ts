// Begins an attempt to bring a VM from another server; what an earlier one left goes.

import type { OperationContext } from './context.ts'

/**
 * @returns the secret of the attempt
 * @throws AppError HANDLE_INVALID where the invitation is not open any more
 */
export const beginIncomingMove = async (
  { catalog, storage }: OperationContext,
  invitationUuid: string,
): Promise<string> => {
  const { secret, srUuids } = await catalog.incomingMoves.begin(invitationUuid)
  for (const srUuid of srUuids) storage.upkeep.collect(srUuid)
  return secret
}
