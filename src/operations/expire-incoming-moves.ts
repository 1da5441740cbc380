// Gives up the VMs that nobody has gone on sending: their sources have crashed, or forgotten them.

import type { OperationContext } from './context.ts'

/** @param maximumIdle in milliseconds */
export const expireIncomingMoves = async (
  { catalog, storage, leases, log }: OperationContext,
  maximumIdle: number,
): Promise<void> => {
  const usedBefore = new Date(Date.now() - maximumIdle)
  const isBusy = (vdiUuid: string): boolean => leases.holder(vdiUuid) !== undefined
  const { moves, srUuids } = await catalog.incomingMoves.expire(usedBefore, isBusy)
  for (const uuid of moves) log.warn({ move: uuid }, 'gave up a VM whose source went silent')
  for (const srUuid of srUuids) storage.upkeep.collect(srUuid)
}
