// task: what clients watch a transfer by. Each belongs to the user who made it.

import type { TaskUpdate } from '../../catalog/tasks/tasks.ts'
import type { TaskRow } from '../../catalog/tasks/task-row.ts'
import { toRef } from '../../refs.ts'
import { AppError } from '../../errors.ts'
import { defineClass } from '../class.ts'
import { fieldsFor } from '../fields.ts'
import type { Identity } from '../authenticate.ts'
import type { ObjectContext } from '../object-context.ts'
import { hasRole, rolesFrom } from '../roles.ts'
import { datetime, float, mapOf, optionalRefTo, refTo, setOf, string } from '../wire/values.ts'

interface Row extends TaskRow {
  readonly hostUuid: string
  readonly subtaskUuids: readonly string[]
}

const { field, constant, map } = fieldsFor<Row, TaskRow, TaskUpdate>()

/** The lowest role that may touch the tasks of others. */
const anyTaskRole = 'pool-operator'

/** Why the user may not change or use the task: it is another's. Undefined: they may. */
export const taskDenial = (
  identity: Identity,
  { uuid, userUuid }: TaskRow,
  permission: string,
): AppError | undefined => {
  if (userUuid === identity.user.uuid || hasRole(identity, anyTaskRole)) return undefined
  const may = `only its own; these may touch any: ${rolesFrom(anyTaskRole).join(', ')}`
  return new AppError('RBAC_PERMISSION_DENIED', [
    `${permission}/any`,
    `the task ${uuid} belongs to another user, and the role ${identity.user.role} may touch ${may}`,
  ])
}

/**
 * @throws AppError RBAC_PERMISSION_DENIED for another user's task, unless the role may touch any
 */
export const requireOwnTask = (identity: Identity, task: TaskRow, permission: string): void => {
  const denied = taskDenial(identity, task, permission)
  if (denied !== undefined) throw denied
}

const toRow = (
  { hostUuid }: ObjectContext,
  task: TaskRow,
  subtasks: readonly TaskRow[] = [],
): Row => ({ ...task, hostUuid, subtaskUuids: subtasks.map((subtask) => subtask.uuid) })

const isOver = ({ status }: TaskRow): boolean => status !== 'pending' && status !== 'cancelling'

export const taskClass = defineClass<Row, TaskRow, TaskUpdate>({
  name: 'task',
  writeRole: 'read-only',
  find: async (context, uuid) => {
    const { tasks } = context.catalog
    const task = await tasks.get(uuid)
    return task && toRow(context, task, await tasks.subtasksOf(uuid))
  },
  list: async (context) => {
    const tasks = await context.catalog.tasks.list()
    const subtasks = Map.groupBy(tasks, (task) => task.subtaskOfUuid)
    return tasks.map((task) => toRow(context, task, subtasks.get(task.uuid)))
  },
  uuids: ({ catalog }) => catalog.tasks.uuids(),
  update: ({ catalog }, uuid, change, identity) =>
    catalog.tasks.update(toRef(uuid), (task) => {
      requireOwnTask(identity, task, 'task.update')
      return change(task)
    }),
  fields: [
    field('uuid', string, (task) => task.uuid),
    field('name_label', string, (task) => task.nameLabel),
    field('name_description', string, (task) => task.nameDescription),
    field('allowed_operations', setOf(string), (task) =>
      isOver(task) ? ['destroy'] : ['cancel', 'destroy'],
    ),
    constant('current_operations', mapOf(string, string), {}),
    field('created', datetime, (task) => task.createdAt),
    field('finished', datetime, (task) => task.finishedAt ?? new Date(0)),
    field('status', string, (task) => task.status),
    field('resident_on', refTo('host'), (task) => task.hostUuid),
    field('progress', float, (task) => task.progress),
    constant('type', string, '<none/>'),
    field(
      'result',
      string,
      (task) => task.result,
      (result) => ({ result }),
    ),
    field(
      'error_info',
      setOf(string),
      (task) => task.errorInfo,
      (errorInfo) => ({ errorInfo }),
    ),
    map(
      'other_config',
      (task) => task.otherConfig,
      (otherConfig) => ({ otherConfig }),
    ),
    field('subtask_of', optionalRefTo('task'), (task) => task.subtaskOfUuid),
    field('subtasks', setOf(refTo('task')), (task) => task.subtaskUuids),
    constant('backtrace', string, '()'),
  ],
})
