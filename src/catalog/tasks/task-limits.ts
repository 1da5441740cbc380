// Keeps the number of tasks within their bounds (bounds.ts): pending ones are refused, finished
// ones give way, oldest first. tasks.ts calls it; an old catalog with millions of tasks is brought
// down page by page.

import { sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { taskBounds, taskLimits } from '../bounds.ts'
import type { Database } from '../database.ts'
import type { Queries, Transaction } from '../transaction.ts'

/**
 * Rows that are deleted at a time: a page must not hold the others up, nor fill the log of the
 * file.
 */
const PAGE = 500

const countPending = async (db: Queries): Promise<ReadonlyMap<string | null, number>> => {
  const rows = await db
    .selectFrom('tasks')
    .where('finishedAt', 'is', null)
    .groupBy('userUuid')
    .select(({ fn }) => ['userUuid', fn.countAll<number>().as('count')])
    .execute()
  return new Map(rows.map(({ userUuid, count }) => [userUuid, count]))
}

/**
 * @param userUuid null: the server's own tasks are never refused
 * @throws AppError TOO_MANY_PENDING_TASKS
 */
export const requireRoomForTask = async (db: Queries, userUuid: string | null): Promise<void> => {
  if (userUuid === null) return
  const counts = await countPending(db)
  const own = counts.get(userUuid) ?? 0
  const all = counts.values().reduce((sum, count) => sum + count, 0)
  const { pendingOfUser, pending, pendingSpared } = taskLimits
  if (own >= pendingOfUser) {
    throw tooMany(`the user has ${own} pending tasks, the limit is ${pendingOfUser}`)
  }
  if (all >= pending && own >= pendingSpared) {
    const found = `all users have ${all} pending tasks, the limit is ${pending}`
    throw tooMany(`${found}, and this one has ${own} of them`)
  }
}

const tooMany = (found: string): AppError =>
  new AppError('TOO_MANY_PENDING_TASKS', [`${found}: end, cancel or destroy some`])

/** Forgets at most a page of the user's finished tasks that are beyond the bounds; their number. */
export const dropFinishedOf = async (
  transaction: Transaction,
  userUuid: string | null,
): Promise<number> => {
  const { finishedOfUser, resultCharactersOfUser } = taskLimits
  const { rows } = await sql<{ uuid: string }>`
    select uuid from (
      select uuid, row_number() over newest as place, sum(length(result)) over newest as characters
      from tasks where user_uuid is ${userUuid} and finished_at is not null
      window newest as (order by finished_at desc, created_at desc, uuid)
    )
    where place > ${finishedOfUser} or (place > 1 and characters > ${resultCharactersOfUser})
    limit ${PAGE}`.execute(transaction.untold)
  return removeAll(transaction, rows)
}

/** The same for all users together, at the expense of the user who has the most. */
export const dropFinished = async (transaction: Transaction): Promise<number> => {
  const { db } = transaction
  const users = await db
    .selectFrom('tasks')
    .where('finishedAt', 'is not', null)
    .groupBy('userUuid')
    .select(({ fn }) => ['userUuid', fn.countAll<number>().as('count')])
    .orderBy('count', 'desc')
    .execute()
  const surplus = users.reduce((sum, { count }) => sum + count, 0) - taskLimits.finished
  const [most] = users
  if (most === undefined || surplus <= 0) return 0
  const oldest = await db
    .selectFrom('tasks')
    .select('uuid')
    .where('userUuid', 'is', most.userUuid)
    .where('finishedAt', 'is not', null)
    .orderBy('finishedAt')
    .orderBy('createdAt')
    .limit(Math.min(surplus, PAGE))
    .execute()
  return removeAll(transaction, oldest)
}

const removeAll = (
  transaction: Transaction,
  rows: readonly { readonly uuid: string }[],
): Promise<number> =>
  transaction.remove(
    'tasks',
    rows.map(({ uuid }) => uuid),
  )

/**
 * At start: brings a catalog of before these bounds within them. Fields that are too large are
 * emptied; of each user the oldest tasks that no transfer has taken go.
 * @returns how many tasks were forgotten
 */
export const trimTasks = async (database: Database): Promise<number> => {
  let count = 0
  const inPages = async (
    dropPage: (transaction: Transaction) => Promise<number>,
  ): Promise<void> => {
    for (let dropped = 1; dropped > 0; count += dropped) {
      dropped = await database.transaction(dropPage)
    }
  }
  await inPages(dropPending)
  const users = await database.db.selectFrom('tasks').select('userUuid').distinct().execute()
  for (const { userUuid } of users) {
    await inPages((transaction) => dropFinishedOf(transaction, userUuid))
  }
  await inPages(dropFinished)
  await emptyFields(database)
  return count
}

const dropPending = async (transaction: Transaction): Promise<number> => {
  const { db } = transaction
  const counts = await countPending(db)
  const most = [...counts].filter(([, count]) => count > taskLimits.pendingOfUser)
  const [user] = most
  if (user === undefined) return 0
  const [userUuid, own] = user
  const oldest = await db
    .selectFrom('tasks')
    .select('uuid')
    .where('userUuid', 'is', userUuid)
    .where('finishedAt', 'is', null)
    .where('hasTransfer', '=', false)
    .orderBy('createdAt')
    .limit(Math.min(own - taskLimits.pendingOfUser, PAGE))
    .execute()
  return removeAll(transaction, oldest)
}

/** JSON may take six characters for one, and has some of its own. */
const inJson = (characters: number): number => 6 * characters + 1024

const emptyFields = (database: Database): Promise<void> =>
  database.transaction(async ({ untold }) => {
    const { otherConfig, errorInfo } = taskBounds
    await sql`update tasks set other_config = '{}'
      where length(other_config) > ${inJson(otherConfig.characters)}`.execute(untold)
    await sql`update tasks set error_info = '[]'
      where length(error_info) > ${inJson(errorInfo.characters)}`.execute(untold)
    await sql`update tasks set result = '', name_description = '' where length(result)
      > ${taskLimits.resultCharacters} or length(name_description) > ${inJson(16_384)}`.execute(
      untold,
    )
  })
