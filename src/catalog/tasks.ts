// Tasks: what clients watch a transfer by. A task ends once, with the first outcome it is given;
// whatever is said of it afterwards is harmless.

import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Database, Queries } from './database.ts'
import { handleInvalid, refToUuid, toRef } from './refs.ts'
import type { TaskStatus, TaskTable } from './schema.ts'
import { createTaskProgress } from './task-progress.ts'

export type TaskRow = Readonly<TaskTable>

export type TaskChanges = Partial<
  Pick<TaskRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'result' | 'errorInfo'>
>

const MINUTE = 60_000

/** How long a task waits for its request, and a finished one to be read, in milliseconds. */
const MAXIMUM_PENDING = 24 * 60 * MINUTE
const MAXIMUM_FINISHED = 65 * MINUTE

const unfinished: readonly TaskStatus[] = ['pending', 'cancelling']

/** Every `ref` may be a reference or a bare uuid. */
export interface Tasks {
  /** A pending task; its reference. */
  create(task: NewTask): Promise<string>

  /** Writes a task that has been made elsewhere and may be running; a power cut may undo it. */
  adopt(task: TaskRow): Promise<void>

  get(ref: string): Promise<TaskRow | undefined>

  /** In the order they were made. */
  list(): Promise<TaskRow[]>

  /** The tasks that are parts of this one, in the order they were made. */
  subtasksOf(ref: string): Promise<TaskRow[]>

  /**
   * Makes the task that of a transfer, which from now on ends it.
   * @throws AppError HANDLE_INVALID for an unknown task; TASK_CANCELLED if the client has cancelled it already
   */
  take(ref: string): Promise<TaskRow>

  /** Seen by readers at once, written within about a second. Harmless after the end and for unknown tasks. */
  setProgress(ref: string, fraction: number): void

  /**
   * The outcomes. Harmless after the first one, and for a task that its client has destroyed.
   * @param result empty, or an XML-RPC `<value>`
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
   * @throws AppError HANDLE_INVALID for an unknown task; what `change` throws
   */
  update(ref: string, change: (task: TaskRow) => TaskChanges): Promise<void>

  /** @throws AppError HANDLE_INVALID for an unknown task */
  destroy(ref: string): Promise<void>

  /** At start: ends the tasks whose transfers went with the process before; their number. */
  failAbandoned(): Promise<number>

  /** Forgets tasks that no request came for within 24 h, and those that ended 65 min ago; their number. */
  expire(): Promise<number>
}

export interface NewTask {
  readonly nameLabel: string
  readonly nameDescription?: string
  /** Whose it is. */
  readonly userUuid: string | null
  readonly subtaskOf?: string
}

/** @returns the tasks, and what writes their last progress before the database closes */
export const createTasks = (
  database: Database,
  now: () => Date,
): { readonly tasks: Tasks; readonly close: () => Promise<void> } => {
  const { db } = database
  const progress = createTaskProgress((fractions) =>
    database.transactionWithoutSync((db) => writeProgress(db, fractions)),
  )
  const live = (task: TaskRow): TaskRow => {
    const fraction = progress.get(task.uuid)
    if (fraction === undefined || !unfinished.includes(task.status)) return task
    return { ...task, progress: fraction }
  }
  const end = (ref: string, outcome: Outcome): Promise<void> =>
    database.transaction(async (db) => {
      const task = await findTask(db, refToUuid(ref))
      if (task === undefined || !unfinished.includes(task.status)) return
      progress.forget(task.uuid)
      await db
        .updateTable('tasks')
        .set({ ...outcome, finishedAt: now() })
        .where('uuid', '=', task.uuid)
        .execute()
    })
  const cancelling = async (ref: string): Promise<void> => {
    await db
      .updateTable('tasks')
      .set({ status: 'cancelling' })
      .where('uuid', '=', refToUuid(ref) ?? '')
      .where('status', '=', 'pending')
      .execute()
  }

  const tasks: Tasks = {
    async create({ nameLabel, nameDescription = '', userUuid, subtaskOf }) {
      const uuid = randomUUID()
      const subtaskOfUuid = subtaskOf === undefined ? null : requireUuid(subtaskOf)
      const names = { nameLabel, nameDescription, userUuid, subtaskOfUuid }
      await db
        .insertInto('tasks')
        .values({ ...newTask, ...names, uuid, createdAt: now() })
        .execute()
      return toRef(uuid)
    },
    adopt: (task) =>
      database.transactionWithoutSync(async (db) => {
        await db.insertInto('tasks').values(task).execute()
      }),
    async get(ref) {
      const task = await findTask(db, refToUuid(ref))
      return task && live(task)
    },
    async list() {
      return (await inOrder(db).execute()).map(live)
    },
    async subtasksOf(ref) {
      const uuid = refToUuid(ref)
      if (uuid === undefined) return []
      return (await inOrder(db).where('subtaskOfUuid', '=', uuid).execute()).map(live)
    },
    take: (ref) =>
      database.transaction(async (db) => {
        const task = await requireTask(db, ref)
        if (task.status === 'cancelling' || task.status === 'cancelled') {
          throw new AppError('TASK_CANCELLED', [toRef(task.uuid)])
        }
        await db
          .updateTable('tasks')
          .set({ hasTransfer: true })
          .where('uuid', '=', task.uuid)
          .execute()
        return { ...live(task), hasTransfer: true }
      }),
    setProgress(ref, fraction) {
      const uuid = refToUuid(ref)
      if (uuid !== undefined) progress.set(uuid, fraction)
    },
    succeed: (ref, result) => end(ref, { status: 'success', progress: 1, result }),
    fail: (ref, { code, params }) =>
      end(ref, { status: 'failure', progress: 1, errorInfo: [code, ...params] }),
    cancelling,
    cancel: (ref) => end(ref, { status: 'cancelled', progress: 1 }),
    async setStatus(ref, status) {
      if (status === 'cancelling') await cancelling(ref)
      else if (status !== 'pending') await end(ref, { status, progress: 1 })
    },
    update: (ref, change) =>
      database.transaction(async (db) => {
        const task = await requireTask(db, ref)
        const changes = change(task)
        if (Object.keys(changes).length === 0) return
        await db.updateTable('tasks').set(changes).where('uuid', '=', task.uuid).execute()
      }),
    async destroy(ref) {
      const uuid = requireUuid(ref)
      progress.forget(uuid)
      const { numDeletedRows } = await db
        .deleteFrom('tasks')
        .where('uuid', '=', uuid)
        .executeTakeFirst()
      if (numDeletedRows === 0n) throw handleInvalid('task', uuid)
    },
    failAbandoned: () => database.transaction((db) => failAbandoned(db, now())),
    async expire() {
      const { numDeletedRows } = await db
        .deleteFrom('tasks')
        .where((eb) =>
          eb.or([
            eb('finishedAt', '<=', before(now(), MAXIMUM_FINISHED)),
            eb.and([
              eb('finishedAt', 'is', null),
              eb('hasTransfer', '=', false),
              eb('createdAt', '<=', before(now(), MAXIMUM_PENDING)),
            ]),
          ]),
        )
        .executeTakeFirst()
      return Number(numDeletedRows)
    },
  }
  return { tasks, close: () => progress.close() }
}

type Outcome = Pick<TaskRow, 'status' | 'progress'> & Partial<TaskChanges>

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

const before = (time: Date, milliseconds: number): Date => new Date(time.getTime() - milliseconds)

const inOrder = (db: Queries) =>
  db.selectFrom('tasks').selectAll().orderBy('createdAt').orderBy('uuid')

const requireUuid = (ref: string): string => {
  const uuid = refToUuid(ref)
  if (uuid === undefined) throw new AppError('HANDLE_INVALID', ['task', ref])
  return uuid
}

const findTask = async (db: Queries, uuid: string | undefined): Promise<TaskRow | undefined> =>
  uuid === undefined
    ? undefined
    : db.selectFrom('tasks').selectAll().where('uuid', '=', uuid).executeTakeFirst()

const requireTask = async (db: Queries, ref: string): Promise<TaskRow> => {
  const uuid = requireUuid(ref)
  const task = await findTask(db, uuid)
  if (task === undefined) throw handleInvalid('task', uuid)
  return task
}

const writeProgress = async (
  db: Queries,
  fractions: ReadonlyMap<string, number>,
): Promise<void> => {
  for (const [uuid, progress] of fractions) {
    await db
      .updateTable('tasks')
      .set({ progress })
      .where('uuid', '=', uuid)
      .where('status', 'in', unfinished)
      .execute()
  }
}

const failAbandoned = async (db: Queries, finishedAt: Date): Promise<number> => {
  const abandoned = db.updateTable('tasks').where('hasTransfer', '=', true)
  const cancelled = await abandoned
    .set({ status: 'cancelled', progress: 1, finishedAt })
    .where('status', '=', 'cancelling')
    .executeTakeFirst()
  const errorInfo = ['INTERNAL_ERROR', 'The server stopped while the transfer was running']
  const failed = await abandoned
    .set({ status: 'failure', progress: 1, finishedAt, errorInfo })
    .where('status', '=', 'pending')
    .executeTakeFirst()
  return Number(cancelled.numUpdatedRows + failed.numUpdatedRows)
}
