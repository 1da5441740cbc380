// Gives up a VM that comes from another server: its VDIs go, with what was written for them.

import type { OperationContext } from './context.ts'

/**
 * Harmless for one that is not there.
 * @throws AppError OPERATION_NOT_ALLOWED for a committed one
 */
export const abortIncomingMove = async (
  { catalog, storage }: OperationContext,
  moveUuid: string,
): Promise<void> => {
  for (const srUuid of await catalog.incomingMoves.abort(moveUuid)) storage.upkeep.collect(srUuid)
}
