// Tasks: what clients watch a transfer by. A task ends once, with the first outcome it is given;
// later ones are ignored. Their rows are in task-rows.ts, operations on many of them in
// task-upkeep.ts.

import type { TaskRow } from './task-row.ts'
import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import { requireWithin, taskBounds, taskLimits } from '../bounds.ts'
import type { Database } from '../database.ts'
import { handleInvalid } from '../../object-errors.ts'
import { refToUuid, toRef } from '../../refs.ts'
import type { TaskStatus } from '../schema.ts'
import { createNewsInterval } from './news-interval.ts'
import { trimTasks } from './task-limits.ts'
import { createTaskProgress } from './task-progress.ts'
import { createTaskRows } from './task-rows.ts'
import { dropExpired, failAbandoned, unfinished, writeProgress } from './task-upkeep.ts'
import type { UnwrittenTasks } from './unwritten-tasks.ts'
import { otherOperation } from '../../object-errors.ts'

export type TaskUpdate = Partial<
  Pick<TaskRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'result' | 'errorInfo'>
>

/** Every `ref` may be a reference or a bare uuid. */
export interface Tasks {
  /**
   * A pending task; its reference.
   * @throws AppError TOO_MANY_PENDING_TASKS; INVALID_VALUE for a name that is too long
   */
  create(task: NewTask): Promise<string>

  /** Writes a task that has been made elsewhere and may be running; a power cut may undo it. */
  adopt(task: TaskRow): Promise<void>

  get(ref: string): Promise<TaskRow | undefined>

  /** In the order they were made. */
  list(): Promise<TaskRow[]>

  /** Of all of them. */
  uuids(): Promise<string[]>

  /** The tasks that are parts of this one, in the order they were made. */
  subtasksOf(ref: string): Promise<TaskRow[]>

  /**
   * Makes the task that of a transfer, which from now on ends it. On a throw the task is untouched.
   * @param requireAllowed asked before anything else of the task is told
   * @throws AppError what `requireAllowed` throws; HANDLE_INVALID for an unknown task;
   *   TASK_CANCELLED if the client has cancelled it already; OPERATION_NOT_ALLOWED if it has ended;
   *   OTHER_OPERATION_IN_PROGRESS if a transfer has it
   */
  take(ref: string, requireAllowed?: TaskCheck): Promise<TaskRow>

  /** What `take` would throw; takes nothing. */
  requireFree(ref: string, requireAllowed?: TaskCheck): Promise<void>

  /**
   * Seen by readers at once, written within about a second. Harmless after the end and for unknown
   * tasks.
   */
  setProgress(ref: string, fraction: number): void

  /**
   * The outcomes. Harmless after the first one, and for a task that its client has destroyed.
   * @param result empty, or an XML-RPC `<value>`
   * @throws AppError INVALID_VALUE for a result that is too long to be kept
   */
  succeed(ref: string, result: string): Promise<void>

  fail(ref: string, error: AppError): Promise<void>

  /** The transfer has been told to stop. Harmless unless the task is pending. */
  cancelling(ref: string): Promise<void>

  /** The outcome of a task that was told to stop. */
  cancel(ref: string): Promise<void>

  /** As the outcomes above; `pending` changes nothing. For clients that run their own tasks. */
  setStatus(ref: string, status: TaskStatus): Promise<void>

  /**
   * Reads the row, asks for the changes and writes them, with nothing in between.
   * @throws AppError HANDLE_INVALID for an unknown task; INVALID_VALUE for what is too long; what
   *   `change` throws
   */
  update(ref: string, change: (task: TaskRow) => TaskUpdate): Promise<void>

  /** @throws AppError HANDLE_INVALID for an unknown task */
  destroy(ref: string): Promise<void>

  /**
   * At start: brings the tasks within their bounds, and ends those whose transfers went with the
   * process before.
   * @returns how many were forgotten, and how many ended
   */
  recover(): Promise<{ readonly trimmed: number; readonly failed: number }>

  /**
   * Forgets tasks that no request came for within 24 h, and those that ended 65 min ago; their
   * number.
   */
  expire(): Promise<number>
}

/** @throws AppError if the caller may not use the task */
export type TaskCheck = (task: TaskRow) => void

export interface NewTask {
  readonly nameLabel: string
  readonly nameDescription?: string
  /** Whose it is. */
  readonly userUuid: string | null
  readonly subtaskOf?: string
}

interface TaskOptions {
  readonly now: () => Date
  readonly unwritten: UnwrittenTasks
}

/** @returns the tasks, and what writes what is only in memory before the database closes */
export const createTasks = (
  database: Database,
  { now, unwritten }: TaskOptions,
): { readonly tasks: Tasks; readonly close: () => Promise<void> } => {
  const rows = createTaskRows(database, unwritten)
  const progress = createTaskProgress((fractions) =>
    database.transactionWithoutSync((transaction) => writeProgress(transaction, fractions)),
  )
  const news = createNewsInterval(PROGRESS_INTERVAL, (uuid) =>
    database.changes.emit('task', uuid, 'mod'),
  )
  const live = (task: TaskRow): TaskRow => {
    const fraction = progress.get(task.uuid)
    if (fraction === undefined || !unfinished.includes(task.status)) return task
    return { ...task, progress: fraction }
  }
  const end = async (ref: string, outcome: Outcome): Promise<void> => {
    const ended = await rows.change(refToUuid(ref), ({ status }) =>
      unfinished.includes(status) ? { ...outcome, finishedAt: now() } : undefined,
    )
    if (ended !== undefined) progress.forget(ended.uuid)
  }
  const cancelling = async (ref: string): Promise<void> => {
    await rows.change(refToUuid(ref), ({ status }) =>
      status === 'pending' ? { status: 'cancelling' } : undefined,
    )
  }
  const required = async (ref: string, task: Promise<TaskRow | undefined>): Promise<TaskRow> => {
    const uuid = requireUuid(ref)
    const found = await task
    if (found === undefined) throw handleInvalid('task', uuid)
    return found
  }

  const tasks: Tasks = {
    async create({ nameLabel, nameDescription = '', userUuid, subtaskOf }) {
      const uuid = randomUUID()
      const subtaskOfUuid = subtaskOf === undefined ? null : requireUuid(subtaskOf)
      const names = { nameLabel, nameDescription, userUuid, subtaskOfUuid }
      requireWithin(taskBounds, names)
      await rows.insert({ ...newTask, ...names, uuid, createdAt: now() })
      return toRef(uuid)
    },
    adopt: (task) =>
      database.transactionWithoutSync((transaction) => transaction.insert('tasks', task)),
    async get(ref) {
      const task = await rows.find(refToUuid(ref))
      return task && live(task)
    },
    list: async () => (await rows.list()).map(live),
    uuids: () => rows.uuids(),
    async subtasksOf(ref) {
      const uuid = refToUuid(ref)
      return uuid === undefined ? [] : (await rows.subtasksOf(uuid)).map(live)
    },
    async take(ref, requireAllowed) {
      const taken = rows.change(refToUuid(ref), (task) => {
        requireAllowed?.(task)
        requireFree(task)
        return { hasTransfer: true }
      })
      return live(await required(ref, taken))
    },
    async requireFree(ref, requireAllowed) {
      const task = await required(ref, rows.find(refToUuid(ref)))
      requireAllowed?.(task)
      requireFree(task)
    },
    setProgress(ref, fraction) {
      const uuid = refToUuid(ref)
      if (uuid === undefined) return
      progress.set(uuid, fraction)
      news.tell(uuid)
    },
    async succeed(ref, result) {
      requireWithin({ result: { characters: taskLimits.resultCharacters } }, { result })
      await end(ref, { status: 'success', progress: 1, result })
    },
    fail: (ref, { code, params }) =>
      end(ref, { status: 'failure', progress: 1, errorInfo: shortened([code, ...params]) }),
    cancelling,
    cancel: (ref) => end(ref, { status: 'cancelled', progress: 1 }),
    async setStatus(ref, status) {
      if (status === 'cancelling') await cancelling(ref)
      else if (status !== 'pending') await end(ref, { status, progress: 1 })
    },
    async update(ref, change) {
      const changed = rows.change(refToUuid(ref), (task) => {
        const changes = change(task)
        requireWithin(taskBounds, changes, task)
        return changes
      })
      await required(ref, changed)
    },
    async destroy(ref) {
      const uuid = requireUuid(ref)
      progress.forget(uuid)
      if (!(await rows.remove(uuid))) throw handleInvalid('task', uuid)
    },
    async recover() {
      const trimmed = await trimTasks(database)
      return { trimmed, failed: await failAbandoned(database, rows, now()) }
    },
    async expire() {
      let count = 0
      for (;;) {
        const expired = await database.transaction((transaction) => dropExpired(transaction, now()))
        if (expired === 0) break
        count += expired
      }
      await rows.writeBack()
      return count
    },
  }
  const close = async (): Promise<void> => {
    news.close()
    await progress.close()
    await rows.writeBack()
  }
  return { tasks, close }
}

type Outcome = Pick<TaskRow, 'status' | 'progress'> & Partial<TaskUpdate>

/** Between two news of the progress of one task, in milliseconds. */
const PROGRESS_INTERVAL = 1000

/** What all tasks are when they begin. */
export const newTask = {
  otherConfig: {},
  status: 'pending',
  progress: 0,
  result: '',
  errorInfo: [],
  hasTransfer: false,
  finishedAt: null,
} as const

const requireUuid = (ref: string): string => {
  const uuid = refToUuid(ref)
  if (uuid === undefined) throw new AppError('HANDLE_INVALID', ['task', ref.slice(0, 64)])
  return uuid
}

/** An error may show what a client sent: no more of it than a task may hold. */
const shortened = (errorInfo: readonly string[]): readonly string[] => {
  const { characters, entries } = taskBounds.errorInfo
  const share = characters / entries
  const isShort = errorInfo.reduce((sum, text) => sum + text.length, 0) <= characters
  const kept = errorInfo.slice(0, entries)
  return isShort ? kept : kept.map((text) => text.slice(0, share))
}

/**
 * A task is that of one transfer, which ends it: a second one could only make its outcome a lie.
 */
const requireFree = ({ uuid, status, hasTransfer }: TaskRow): void => {
  const ref = toRef(uuid)
  if (status === 'cancelling' || status === 'cancelled') {
    throw new AppError('TASK_CANCELLED', [ref])
  }
  if (status !== 'pending') {
    const found = `it has ended with ${status}`
    throw new AppError('OPERATION_NOT_ALLOWED', [
      `The task ${uuid} cannot be used: ${found}; make a new one with task.create`,
    ])
  }
  if (!hasTransfer) return
  const found = 'another request has it; make a new one with task.create'
  throw otherOperation('task', uuid, `The task ${uuid} cannot be used: ${found}`)
}
