// The task that a transfer's request names: only who may change it may use it, and a question (HEAD) leaves it
// as it is. Called by the routes of transfers, once they know who is asking.

import type { NamedTask, TaskHandle } from '../src/transfer/with-task.ts'
import { noTask, withTask } from '../src/transfer/with-task.ts'
import type { Identity } from '../src/xenapi/authenticate.ts'
import { taskDenial } from '../src/xenapi/classes/task.ts'
import type { httpPermissions } from '../src/xenapi/roles.ts'
import type { RouteContext } from './environment.ts'
import type { Parameters } from './params.ts'
import { readTask } from './params.ts'

interface TaskRequest {
  readonly parameters: Parameters
  readonly identity: Identity
  readonly permission: keyof typeof httpPermissions
}

/**
 * Runs `work` with the task, which has ended when this returns or throws.
 * @throws AppError what `work` throws; what Tasks.take throws: the task is untouched then
 */
export const withRequestTask = <T>(
  context: RouteContext,
  request: TaskRequest,
  work: (task: TaskHandle) => Promise<T>,
  resultOf: (value: T) => string,
): Promise<T> => withTask(context.transfer.catalog, namedTask(context, request), work, resultOf)

/** Runs `work`, which only looks, if the task could be used; the task stays as it is. */
export const besideRequestTask = async <T>(
  context: RouteContext,
  request: TaskRequest,
  work: (task: TaskHandle) => Promise<T>,
): Promise<T> => {
  const { user, ref, requireAllowed } = namedTask(context, request)
  if (ref !== undefined) await context.transfer.catalog.tasks.requireFree(ref, requireAllowed)
  return work({ ...noTask, user: user.name, ref })
}

const namedTask = (
  { transfer }: RouteContext,
  { parameters, identity, permission }: TaskRequest,
): NamedTask => ({
  user: identity.user,
  ref: readTask(parameters),
  requireAllowed(task) {
    const denied = taskDenial(identity, task, 'task.use')
    if (denied === undefined) return
    const line = { user: identity.user.name, method: permission, object: task.uuid }
    transfer.log.info({ audit: { ...line, outcome: denied.code } }, 'audit')
    throw denied
  },
})
