// Rows of incoming moves, as all that writes for one reads them.

import { handleInvalid } from '../../object-errors.ts'
import type { Queries } from '../transaction.ts'

export const findMove = (db: Queries, uuid: string) =>
  db.selectFrom('incomingMoves').selectAll().where('uuid', '=', uuid).executeTakeFirst()

/**
 * That something may be brought: the move is an attempt, and neither committed nor given up.
 * @throws AppError HANDLE_INVALID
 */
export const requireOpenAttempt = async (db: Queries, uuid: string): Promise<void> => {
  const move = await findMove(db, uuid)
  if (move?.state === 'open' && move.invitationUuid !== null) return
  throw handleInvalid('incoming_move', uuid)
}
