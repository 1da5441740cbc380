// What every transfer's request runs in: its task, the permission of its user, and its line in the
// audit log. Called by the routes of transfers, once they know who is asking.

import { refToUuid } from '../src/refs.ts'
import type { NamedTask, TaskHandle } from '../src/transfer/with-task.ts'
import { noTask, withTask } from '../src/transfer/with-task.ts'
import { withAuditLine } from '../src/xenapi/audit.ts'
import type { Identity } from '../src/xenapi/authenticate.ts'
import { taskDenial } from '../src/xenapi/classes/task.ts'
import type { httpPermissions } from '../src/xenapi/roles.ts'
import { moveDenied } from '../src/xenapi/roles.ts'
import type { RouteContext } from './environment.ts'
import type { Parameters, RequestFacts } from './params.ts'
import { peekParameter, readTask } from './params.ts'

interface AskedTransfer {
  readonly request: RequestFacts
  readonly parameters: Parameters
  readonly identity: Identity
  readonly permission: keyof typeof httpPermissions
  /** It only asks and changes nothing (HEAD): the task stays as it is. */
  readonly isQuestion?: boolean
}

interface Outcome<T> {
  /** What the task shows. */
  readonly resultOf: (value: T) => string
  /** The uuid of what was made, for the audit of a request that names no VDI. */
  readonly madeOf?: (value: T) => string | undefined
}

/**
 * Runs `work` with the task that the request names. The task has ended when this returns or throws;
 * a refusal fails it, too.
 * @throws AppError what `work` throws; RBAC_PERMISSION_DENIED; what Tasks.take throws: the task is
 *   untouched then
 */
export const runRequest = async <T>(
  context: RouteContext,
  asked: AskedTransfer,
  work: (task: TaskHandle) => Promise<T>,
  { resultOf, madeOf }: Outcome<T>,
): Promise<T> => {
  const { operations, requirePermission } = context
  const { request, identity, permission } = asked
  const objects = (['vdi', 'uuid', 'ref'] as const).map((name) => peekParameter(request, name))
  const object = refToUuid(objects.find((name) => name !== undefined) ?? '')
  const line = { user: identity.user.name, method: permission, object }
  const run = async (task: TaskHandle): Promise<T> => {
    requirePermission(identity, permission)
    return withAuditLine(operations, line, () => work(task), madeOf ?? (() => undefined))
  }
  const named = namedTask(context, asked)
  if (asked.isQuestion !== true) return withTask(operations.catalog, named, run, resultOf)
  const { user, ref, requireAllowed } = named
  if (ref !== undefined) await operations.catalog.tasks.requireFree(ref, requireAllowed)
  return run({ ...noTask, user: user.name, ref })
}

/** Only who may change a task may use it. */
const namedTask = (
  { operations }: RouteContext,
  { parameters, identity, permission }: AskedTransfer,
): NamedTask => ({
  user: identity.user,
  ref: readTask(parameters),
  requireAllowed(task) {
    const denied =
      identity.moveUuid === undefined
        ? taskDenial(identity, task, 'task.use')
        : moveDenied(identity, 'task.use')
    if (denied === undefined) return
    const line = { user: identity.user.name, method: permission, object: task.uuid }
    operations.log.info({ audit: { ...line, outcome: denied.code } }, 'audit')
    throw denied
  },
})
