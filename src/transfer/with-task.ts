// A client's task around a transfer: whatever happens, it ends with the transfer and says the truth.

import type { Catalog } from '../catalog/catalog.ts'
import type { TaskCheck } from '../catalog/tasks.ts'
import { toAppError } from '../errors.ts'

/** The client's task as a transfer sees it. */
export interface TaskHandle {
  /** None: nobody is told. */
  readonly ref?: string
  /** @param fraction of the work, 0 to 1 */
  report(fraction: number): void
}

export const noTask: TaskHandle = { report: () => {} }

/** The task that a request names, and whether whoever sent it may use it. */
export interface NamedTask {
  /** None: nobody is told. */
  readonly ref: string | undefined
  /** Absent: the task is the caller's own. */
  readonly requireAllowed?: TaskCheck
}

/**
 * Runs `work` on behalf of the task, which then ends: `success` with what `work` returns as result,
 * `cancelled` or `failure` with the error that it throws, which is passed on. What commits in `work` may end it
 * before, in its transaction.
 * @throws AppError what Tasks.take throws: `work` has not run then, and the task is untouched
 */
export const withTask = async <T>(
  catalog: Catalog,
  { ref: taskRef, requireAllowed }: NamedTask,
  work: (task: TaskHandle) => Promise<T>,
  resultOf: (value: T) => string,
): Promise<T> => {
  if (taskRef === undefined) return work(noTask)
  await catalog.tasks.take(taskRef, requireAllowed)
  const report = (fraction: number): void => catalog.tasks.setProgress(taskRef, fraction)
  try {
    const value = await work({ ref: taskRef, report })
    await catalog.tasks.succeed(taskRef, resultOf(value))
    return value
  } catch (error) {
    const reason = toAppError(error)
    if (reason.code === 'TASK_CANCELLED') await catalog.tasks.cancel(taskRef)
    else await catalog.tasks.fail(taskRef, reason)
    throw reason
  }
}
