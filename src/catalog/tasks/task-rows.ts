// The rows of tasks: how one is found, made, changed and destroyed, in the file or, while that
// cannot be written, in memory. tasks.ts says what a change means; nothing here knows a status.

import type { Database } from '../database.ts'
import type { Queries, Transaction } from '../transaction.ts'
import { dropFinished, dropFinishedOf, requireRoomForTask } from './task-limits.ts'
import type { TaskRow } from './task-row.ts'
import type { UnwrittenTasks } from './unwritten-tasks.ts'
import { isUnwritable } from '../unwritable.ts'

export interface TaskRows {
  find(uuid: string | undefined): Promise<TaskRow | undefined>

  /** In the order they were made. */
  list(): Promise<TaskRow[]>

  /** Of all of them. */
  uuids(): Promise<string[]>

  subtasksOf(uuid: string): Promise<TaskRow[]>

  /** @throws AppError TOO_MANY_PENDING_TASKS */
  insert(task: TaskRow): Promise<void>

  /**
   * Reads the row, asks for the changes and writes them, with nothing in between.
   * @param decide may be asked twice; undefined: nothing changes
   * @returns the row as it is now; undefined where there is none
   * @throws what `decide` throws
   */
  change(
    uuid: string | undefined,
    decide: (task: TaskRow) => Partial<TaskRow> | undefined,
  ): Promise<TaskRow | undefined>

  /** @returns whether there was one */
  remove(uuid: string): Promise<boolean>

  /** Writes what is only in memory, where that can be written by now. */
  writeBack(): Promise<void>
}

export const createTaskRows = (database: Database, unwritten: UnwrittenTasks): TaskRows => {
  const { db, changes } = database
  const find = async (uuid: string | undefined): Promise<TaskRow | undefined> =>
    uuid === undefined ? undefined : unwritten.latest(uuid, await findTask(db, uuid))

  const writeBack = (): Promise<void> => unwritten.writeAll((work) => database.transaction(work))

  /**
   * Runs `write`, which brings the row of that task up to date, in a transaction; `keep`, which
   * tells of the change itself, where nothing can be written.
   */
  const written = async <T>(
    uuid: string,
    write: (transaction: Transaction) => Promise<T>,
    keep: (reason: unknown) => Promise<T>,
  ): Promise<T> => {
    try {
      const result = await database.transaction(write)
      unwritten.forget(uuid)
      // What was written just now says that the rest can be, too.
      await writeBack()
      return result
    } catch (error) {
      if (!isUnwritable(error)) throw error
      return keep(error)
    }
  }

  const changeRow = async (
    transaction: Transaction,
    uuid: string,
    decide: (task: TaskRow) => Partial<TaskRow> | undefined,
  ): Promise<TaskRow | undefined> => {
    const stored = await findTask(transaction.db, uuid)
    const task = unwritten.latest(uuid, stored)
    if (task === undefined) return undefined
    const changes = decide(task)
    if (changes === undefined || Object.keys(changes).length === 0) {
      // A change of nothing must not make us forget what is only in memory.
      if (task !== stored) await unwritten.write(transaction, task)
      return task
    }
    const changed = { ...task, ...changes }
    if (task === stored) await transaction.update('tasks', uuid, changes)
    else await unwritten.write(transaction, changed)
    return changed
  }

  return {
    find,
    list: async () => unwritten.merge(await inOrder(db).execute()),
    async uuids() {
      const rows = await db.selectFrom('tasks').select('uuid').execute()
      return unwritten.mergeUuids(rows.map(({ uuid }) => uuid))
    },
    async subtasksOf(uuid) {
      const rows = await inOrder(db).where('subtaskOfUuid', '=', uuid).execute()
      return rows.flatMap((task) => unwritten.latest(task.uuid, task) ?? [])
    },
    insert: (task) =>
      written(
        task.uuid,
        async (transaction) => {
          await requireRoomForTask(transaction.db, task.userUuid)
          await transaction.insert('tasks', task)
        },
        async (reason) => {
          unwritten.add(task, reason)
          changes.emit('task', task.uuid, 'add')
          if (task.subtaskOfUuid !== null) changes.emit('task', task.subtaskOfUuid, 'mod')
        },
      ),
    async change(uuid, decide) {
      if (uuid === undefined) return undefined
      return written(
        uuid,
        async (transaction) => {
          const task = await changeRow(transaction, uuid, decide)
          if (task !== undefined && task.finishedAt !== null) {
            await dropFinishedOf(transaction, task.userUuid)
            await dropFinished(transaction)
          }
          return task
        },
        async () => {
          const task = await find(uuid)
          const decided = task && decide(task)
          if (task === undefined || decided === undefined) return task
          const changed = { ...task, ...decided }
          unwritten.keep(changed)
          changes.emit('task', uuid, 'mod')
          return changed
        },
      )
    },
    async remove(uuid) {
      const task = await find(uuid)
      if (task === undefined) return false
      await written(
        uuid,
        async (transaction) => {
          const removed = await transaction.remove('tasks', [uuid])
          // It was only in memory.
          if (removed === 0) transaction.touch('task', uuid, 'del')
        },
        async () => {
          unwritten.remove(uuid)
          changes.emit('task', uuid, 'del')
        },
      )
      return true
    },
    writeBack,
  }
}

const inOrder = (db: Queries) =>
  db.selectFrom('tasks').selectAll().orderBy('createdAt').orderBy('uuid')

const findTask = (db: Queries, uuid: string): Promise<TaskRow | undefined> =>
  db.selectFrom('tasks').selectAll().where('uuid', '=', uuid).executeTakeFirst()
