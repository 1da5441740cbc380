// What use cases are given by the session of a move: a catalog in which the VDIs of the move are
// all that there are.

import type { OperationContext } from '../context.ts'

export const contextOfMove = (
  context: OperationContext,
  incomingMoveUuid: string,
): OperationContext => {
  const { catalog, storage } = context
  return {
    ...context,
    catalog: { ...catalog, vdis: catalog.vdis.ofMove(incomingMoveUuid) },
    storage: { ...storage, contents: storage.contents.ofMove(incomingMoveUuid) },
  }
}
