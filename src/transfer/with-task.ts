// The task around a transfer: whatever happens, it ends with the transfer and says the truth. It is
// the client's, or, where the client named none, one that the server makes once there is something
// to watch.

import type { Catalog } from '../catalog/catalog.ts'
import type { TaskCheck } from '../catalog/tasks/tasks.ts'
import { AppError, toAppError } from '../errors.ts'

/** The task as a transfer sees it. */
export interface TaskHandle {
  /** Absent if there is no task, or nothing has begun yet. */
  readonly ref?: string | undefined
  /** The name of the user whose work it is. */
  readonly user?: string | undefined
  /**
   * From now on there is something to watch, called `nameLabel`. A client's task keeps its own
   * name.
   */
  begin(nameLabel: string): void
  /** @param fraction of the work, 0 to 1 */
  report(fraction: number): void
  /**
   * What clients should know of work that succeeds all the same: the key `notes` of the task's
   * `other_config`. Harmless for a task that is gone, or has no room left for them.
   */
  note(notes: readonly string[]): Promise<void>
}

export const noTask: TaskHandle = {
  begin: () => {},
  report: () => {},
  note: () => Promise.resolve(),
}

/** Who asks, and for which task. */
export interface NamedTask {
  readonly user: { readonly uuid: string; readonly name: string }
  /** As the client named it; none: one is made when the work calls `begin`. */
  readonly ref: string | undefined
  /** Absent: the task is the caller's own. */
  readonly requireAllowed?: TaskCheck
}

/** The server stops, and what becomes of the work is decided later: its task stays as it is. */
export class UndecidedError extends AppError {
  constructor(message: string) {
    super('HOST_IS_SHUTTING_DOWN', [], { message })
  }
}

/**
 * Runs `work` on behalf of the task, which then ends: `success` with what `work` returns as result,
 * `cancelled` or `failure` with the error that it throws, which is passed on. What commits in
 * `work` may end it before, in its transaction.
 * @throws AppError what Tasks.take throws: `work` has not run then, and the task is untouched
 */
export const withTask = async <T>(
  catalog: Pick<Catalog, 'tasks'>,
  { user, ref: clientRef, requireAllowed }: NamedTask,
  work: (task: TaskHandle) => Promise<T>,
  resultOf: (value: T) => string,
): Promise<T> => {
  const { tasks } = catalog
  let ref = clientRef
  if (ref !== undefined) await tasks.take(ref, requireAllowed)
  const handle: TaskHandle = {
    get ref() {
      return ref
    },
    user: user.name,
    begin(nameLabel) {
      ref ??= tasks.begin({ nameLabel, userUuid: user.uuid })
    },
    report(fraction) {
      if (ref !== undefined) tasks.setProgress(ref, fraction)
    },
    async note(notes) {
      if (ref !== undefined) await addNotes(tasks, ref, notes)
    },
  }
  try {
    const value = await work(handle)
    if (ref !== undefined) await tasks.succeed(ref, resultOf(value))
    return value
  } catch (error) {
    if (error instanceof UndecidedError) throw error
    const reason = toAppError(error)
    if (ref === undefined) throw error
    if (reason.code === 'TASK_CANCELLED') await tasks.cancel(ref)
    else await tasks.fail(ref, reason)
    throw reason
  }
}

/** Notes alone never end a transfer: the client may have destroyed its task, or filled it. */
const addNotes = async (
  tasks: Catalog['tasks'],
  ref: string,
  notes: readonly string[],
): Promise<void> => {
  const text = notes.join('\n')
  try {
    await tasks.update(ref, ({ otherConfig }) => ({
      otherConfig: { ...otherConfig, notes: text },
    }))
  } catch (error) {
    const { code } = toAppError(error)
    if (code !== 'HANDLE_INVALID' && code !== 'INVALID_VALUE') throw error
  }
}
