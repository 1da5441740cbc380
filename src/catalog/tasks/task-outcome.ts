// Ends a task inside the transaction of its work: the work and its outcome are written together, or
// neither is. Called by the parts of the catalog that commit for a client.

import { AppError } from '../../errors.ts'
import type { Queries, Transaction } from '../transaction.ts'
import { refToUuid, toRef } from '../../refs.ts'
import type { TaskRow } from './task-row.ts'
import type { UnwrittenTasks } from './unwritten-tasks.ts'

/** Ends tasks in the transactions of others. */
export interface TaskOutcomes {
  /**
   * The task becomes `success`, with the object as its result. Harmless without a task, for one
   * that its client has destroyed, and for one that its client has called a success before.
   * @param taskRef undefined: there is no task
   * @param made the uuid of the object that is the result, or of several; absent: there is none
   * @throws AppError TASK_CANCELLED where the task was told to stop before; OPERATION_NOT_ALLOWED
   *   where its client has called it a failure. The transaction must then change nothing.
   */
  succeed(
    transaction: Transaction,
    taskRef: string | undefined,
    made?: string | readonly string[],
  ): Promise<void>

  /**
   * Before what cannot be taken back is begun: the task must still be one that can succeed.
   * @throws AppError as `succeed`
   */
  requireRunning(transaction: Transaction, taskRef: string | undefined): Promise<void>

  /**
   * The same for what cannot be taken back any more: a task that was told to stop has been told too
   * late.
   * @param result an XML-RPC `<value>`
   */
  conclude(transaction: Transaction, taskRef: string | undefined, result: string): Promise<void>
}

/** The result of a task that made or filled this object, or these, as XML-RPC writes it. */
export const resultOf = (made: string | readonly string[]): string => {
  if (typeof made === 'string') return `<value>${toRef(made)}</value>`
  return `<value><array><data>${made.map((uuid) => resultOf(uuid)).join('')}</data></array></value>`
}

export const createTaskOutcomes = (now: () => Date, unwritten: UnwrittenTasks): TaskOutcomes => {
  const find = async (db: Queries, taskRef: string | undefined): Promise<TaskRow | undefined> => {
    const uuid = refToUuid(taskRef ?? '')
    if (uuid === undefined) return undefined
    const row = db.selectFrom('tasks').selectAll().where('uuid', '=', uuid)
    return unwritten.latest(uuid, await row.executeTakeFirst())
  }
  // Where the transaction fails, what is in memory is still as it was.
  const write = (transaction: Transaction, task: TaskRow, result: string): Promise<void> =>
    unwritten.write(transaction, {
      ...task,
      status: 'success',
      progress: 1,
      result,
      finishedAt: now(),
    })
  return {
    async succeed(transaction, taskRef, made) {
      const task = await find(transaction.db, taskRef)
      if (task === undefined || task.status === 'success') return
      requireRunning(task)
      await write(transaction, task, made === undefined ? '' : resultOf(made))
    },
    async requireRunning(transaction, taskRef) {
      const task = await find(transaction.db, taskRef)
      if (task !== undefined && task.status !== 'success') requireRunning(task)
    },
    async conclude(transaction, taskRef, result) {
      const task = await find(transaction.db, taskRef)
      if (task?.finishedAt === null) await write(transaction, task, result)
    },
  }
}

/** @throws AppError TASK_CANCELLED, OPERATION_NOT_ALLOWED */
const requireRunning = ({ uuid, status }: TaskRow): void => {
  if (status === 'pending') return
  if (status === 'failure') {
    const found = `its task ${uuid} was set to ${status} meanwhile`
    throw new AppError('OPERATION_NOT_ALLOWED', [`The operation was not carried out: ${found}`])
  }
  throw new AppError('TASK_CANCELLED', [toRef(uuid)])
}
