// Rows of incoming moves, as all that writes for one reads them.

import { AppError } from '../../errors.ts'
import { handleInvalid } from '../../object-errors.ts'
import { movedVdiLimit } from '../bounds.ts'
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

/**
 * That it may bring one more VDI.
 * @throws AppError HANDLE_INVALID; INVALID_VALUE for one too many
 */
export const requireRoomForVdi = async (db: Queries, uuid: string): Promise<void> => {
  await requireOpenAttempt(db, uuid)
  const { count } = await db
    .selectFrom('vdis')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('incomingMoveUuid', '=', uuid)
    .executeTakeFirstOrThrow()
  if (count >= movedVdiLimit) throw tooMany('vdi', 'VDIs', movedVdiLimit)
}

/** @param what there are too many of, as a message names them */
export const tooMany = (name: string, what: string, limit: number): AppError => {
  const message = `A VM moves here with at most ${limit} ${what}`
  return new AppError('INVALID_VALUE', [name, String(limit + 1)], { message })
}
