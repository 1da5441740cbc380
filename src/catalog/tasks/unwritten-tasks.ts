// Tasks as they should be while the catalog's file cannot be written: exports go on then, and
// theirs are made, taken and ended in memory. What is here goes to the file as soon as it can be
// written, or ends with the process.

import { toAppError } from '../../errors.ts'
import type { Transaction } from '../transaction.ts'
import type { TaskRow } from './task-row.ts'
import { isUnwritable } from '../unwritable.ts'

/** Tasks that are nowhere but here: of one user, and of all. */
const MAXIMUM_OF_USER = 250
const MAXIMUM = 1000

export interface UnwrittenTasks {
  /** The number of tasks. */
  readonly size: number

  /**
   * What the row has become; undefined: destroyed, or never made. An outcome in the file counts for
   * more.
   */
  latest(uuid: string, written: TaskRow | undefined): TaskRow | undefined

  /**
   * Those of the list as they have become, and those that are nowhere but here, in the order they
   * were made.
   */
  merge(written: readonly TaskRow[]): TaskRow[]

  /** The same for their uuids. */
  mergeUuids(written: readonly string[]): string[]

  /**
   * Keeps a new task; those that have ended give way, oldest first.
   * @throws `reason`, why it cannot be written, where too many are here
   */
  add(task: TaskRow, reason: unknown): void

  /** Keeps a task as it has become. */
  keep(task: TaskRow): void

  /** The task is destroyed. */
  remove(uuid: string): void

  /** Forgets a task that has been written otherwise. */
  forget(uuid: string): void

  /**
   * Writes one task into the row of the file, or makes the row. Harmless for one that is not here.
   */
  write(transaction: Transaction, task: TaskRow): Promise<void>

  /** Writes all; what cannot be written stays. @param run runs its argument in a transaction */
  writeAll(run: (work: (transaction: Transaction) => Promise<void>) => Promise<void>): Promise<void>
}

export const createUnwrittenTasks = (): UnwrittenTasks => {
  /** Null: destroyed. */
  const tasks = new Map<string, TaskRow | null>()
  /** Those that are nowhere but here, oldest first. */
  const added = new Set<string>()
  const forget = (uuid: string): void => {
    tasks.delete(uuid)
    added.delete(uuid)
  }
  const makeRoom = ({ userUuid }: TaskRow, reason: unknown): void => {
    const here = [...added].flatMap((uuid) => tasks.get(uuid) ?? [])
    const own = here.filter((task) => task.userUuid === userUuid)
    if (own.length < MAXIMUM_OF_USER && here.length < MAXIMUM) return
    const ended = own.find(({ finishedAt }) => finishedAt !== null)
    if (ended === undefined) throw toAppError(reason)
    forget(ended.uuid)
  }
  const latest = (uuid: string, written: TaskRow | undefined): TaskRow | undefined => {
    const kept = tasks.get(uuid)
    if (kept === undefined) return written
    if (kept === null || written === undefined || written.finishedAt === null) {
      return kept ?? undefined
    }
    forget(uuid)
    return written
  }
  return {
    get size() {
      return tasks.size
    },
    latest,
    merge(written) {
      if (tasks.size === 0) return [...written]
      const known = new Set(written.map(({ uuid }) => uuid))
      const changed = written.map((task) => latest(task.uuid, task))
      const others = [...tasks].map(([uuid, task]) => (known.has(uuid) ? undefined : task))
      return [...changed, ...others]
        .filter((task) => task !== undefined && task !== null)
        .toSorted(byAge)
    },
    mergeUuids(written) {
      const uuids = new Set(written)
      for (const [uuid, task] of tasks) {
        if (task === null) uuids.delete(uuid)
        else uuids.add(uuid)
      }
      return [...uuids]
    },
    add(task, reason) {
      makeRoom(task, reason)
      tasks.set(task.uuid, task)
      added.add(task.uuid)
    },
    keep(task) {
      tasks.set(task.uuid, task)
    },
    remove(uuid) {
      if (added.has(uuid)) forget(uuid)
      else tasks.set(uuid, null)
    },
    forget,
    async write({ untold, touch }, task) {
      await writeTask(untold, task)
      touch('task', task.uuid)
    },
    async writeAll(run) {
      const all = [...tasks]
      if (all.length === 0) return
      try {
        await run(async ({ untold }) => {
          for (const [uuid, task] of all) {
            if (task === null) await untold.deleteFrom('tasks').where('uuid', '=', uuid).execute()
            else await writeTask(untold, task)
          }
        })
      } catch (error) {
        if (isUnwritable(error)) return
        throw error
      }
      // What has changed meanwhile waits for the next time.
      for (const [uuid, task] of all) {
        added.delete(uuid)
        if (tasks.get(uuid) === task) forget(uuid)
      }
    },
  }
}

const byAge = (left: TaskRow, right: TaskRow): number =>
  left.createdAt.getTime() - right.createdAt.getTime() || (left.uuid < right.uuid ? -1 : 1)

/** A row that has ended keeps its outcome. */
const writeTask = async (db: Transaction['untold'], task: TaskRow): Promise<void> => {
  const user = await db
    .selectFrom('users')
    .select('uuid')
    .where('uuid', '=', task.userUuid ?? '')
    .executeTakeFirst()
  const row = { ...task, userUuid: user?.uuid ?? null, subtaskOfUuid: null }
  const { uuid: _uuid, ...changes } = row
  await db
    .insertInto('tasks')
    .values(row)
    .onConflict((conflict) =>
      conflict.column('uuid').doUpdateSet(changes).where('tasks.finishedAt', 'is', null),
    )
    .execute()
}
