// What is done to many tasks at once: their progress written, those that a crash left ended, old
// ones forgotten. tasks.ts calls it.

import type { Database } from '../database.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { TaskStatus } from '../schema.ts'
import type { TaskRows } from './task-rows.ts'
import type { TaskRow } from './task-row.ts'
import { isUnwritable } from '../unwritable.ts'

export const unfinished: readonly TaskStatus[] = ['pending', 'cancelling']

const MINUTE = 60_000

/** How long a task waits for its request, and a finished one to be read, in milliseconds. */
const MAXIMUM_PENDING = 24 * 60 * MINUTE
const MAXIMUM_FINISHED = 65 * MINUTE

/** Rows that go at a time. */
const PAGE = 500

/** Clients have been told already. */
export const writeProgress = async (
  { untold }: Transaction,
  fractions: ReadonlyMap<string, number>,
): Promise<void> => {
  for (const [uuid, progress] of fractions) {
    await untold
      .updateTable('tasks')
      .set({ progress })
      .where('uuid', '=', uuid)
      .where('status', 'in', unfinished)
      .execute()
  }
}

/** What becomes of a task whose transfer went with its process. */
const abandoned = ({ status }: Pick<TaskRow, 'status'>, finishedAt: Date): Partial<TaskRow> =>
  status === 'cancelling'
    ? { status: 'cancelled', progress: 1, finishedAt }
    : {
        status: 'failure',
        progress: 1,
        finishedAt,
        errorInfo: ['INTERNAL_ERROR', 'The server stopped while the transfer was running'],
      }

/** Of VMs whose destination may have committed: the outcome is for it to say. */
const decidedElsewhere = (db: Queries) =>
  db
    .selectFrom('outgoingMoves')
    .select('taskUuid')
    .where('state', '=', 'committing')
    .where('taskUuid', 'is not', null)
    .$narrowType<{ taskUuid: string }>()

/** Ends them in one transaction; in memory where nothing can be written. @returns their number */
export const failAbandoned = async (
  database: Database,
  rows: TaskRows,
  finishedAt: Date,
): Promise<number> => {
  const left = (db: Queries) =>
    db
      .selectFrom('tasks')
      .where('hasTransfer', '=', true)
      .where('uuid', 'not in', decidedElsewhere(db))
  const uuids = await left(database.db).where('status', 'in', unfinished).select('uuid').execute()
  if (uuids.length === 0) return 0
  try {
    await database.transaction(async ({ untold }) => {
      for (const status of unfinished) {
        await untold
          .updateTable('tasks')
          .set(abandoned({ status }, finishedAt))
          .where('hasTransfer', '=', true)
          .where('status', '=', status)
          .where('uuid', 'not in', decidedElsewhere(database.db))
          .execute()
      }
    })
  } catch (error) {
    if (!isUnwritable(error)) throw error
    for (const { uuid } of uuids) await rows.change(uuid, (task) => abandoned(task, finishedAt))
  }
  return uuids.length
}

const before = (time: Date, milliseconds: number): Date => new Date(time.getTime() - milliseconds)

/** Forgets a page of those that have expired; their number. */
export const dropExpired = async (transaction: Transaction, now: Date): Promise<number> => {
  const expired = await transaction.db
    .selectFrom('tasks')
    .select('uuid')
    .where((eb) =>
      eb.or([
        eb('finishedAt', '<=', before(now, MAXIMUM_FINISHED)),
        eb.and([
          eb('finishedAt', 'is', null),
          eb('hasTransfer', '=', false),
          eb('createdAt', '<=', before(now, MAXIMUM_PENDING)),
        ]),
      ]),
    )
    .limit(PAGE)
    .execute()
  return transaction.remove(
    'tasks',
    expired.map(({ uuid }) => uuid),
  )
}
