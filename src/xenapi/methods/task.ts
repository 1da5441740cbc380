// Tasks: clients make one before a transfer, watch it, may stop it, and destroy it afterwards.

import { toRef } from '../../refs.ts'
import type { TaskRow } from '../../catalog/tasks/task-row.ts'
import { cancelTask } from '../../operations/cancel-task.ts'
import { requireOwnTask } from '../classes/task.ts'
import { nameDescriptionType, nameLabelType } from '../classes/names.ts'
import type { Call, SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { requireObject } from '../wire/require-uuid.ts'
import { float, forField, oneOf, refTo, voidType, wire } from '../wire/values.ts'

const taskStatus = oneOf('task_status_type', [
  'pending',
  'success',
  'failure',
  'cancelling',
  'cancelled',
])

/** @throws AppError HANDLE_INVALID; RBAC_PERMISSION_DENIED for another user's task */
const requireTask = async (
  { context, identity }: Call,
  uuid: string,
  permission: string,
): Promise<TaskRow> => {
  const task = requireObject('task', uuid, await context.catalog.tasks.get(toRef(uuid)))
  requireOwnTask(identity, task, permission)
  return task
}

export const taskMethods: readonly SessionMethod[] = [
  defineMethod({
    name: 'task.create',
    role: 'read-only',
    isAsync: true,
    parameters: {
      label: parameter(nameLabelType),
      description: parameter(nameDescriptionType),
    },
    result: wire('task ref'),
    run: ({ context, identity }, { label, description }) =>
      context.catalog.tasks.create({
        nameLabel: label,
        nameDescription: description,
        userUuid: identity.user.uuid,
      }),
  }),
  defineMethod({
    name: 'task.destroy',
    role: 'read-only',
    isAsync: true,
    parameters: { self: parameter(refTo('task')) },
    result: voidType,
    async run(call, { self }) {
      await requireTask(call, self, 'task.destroy')
      await call.context.catalog.tasks.destroy(toRef(self))
    },
  }),
  defineMethod({
    name: 'task.cancel',
    role: 'read-only',
    isAsync: true,
    parameters: { task: parameter(refTo('task')) },
    result: voidType,
    async run(call, { task: uuid }) {
      await requireTask(call, uuid, 'task.cancel')
      await cancelTask(call.context, toRef(uuid))
    },
  }),
  defineMethod({
    name: 'task.set_status',
    role: 'read-only',
    isAsync: true,
    parameters: {
      self: parameter(refTo('task')),
      value: parameter(forField(taskStatus, 'status')),
    },
    result: voidType,
    async run(call, { self, value }) {
      await requireTask(call, self, 'task.set_status')
      await call.context.catalog.tasks.setStatus(toRef(self), value)
    },
  }),
  defineMethod({
    name: 'task.set_progress',
    role: 'read-only',
    isAsync: true,
    parameters: { self: parameter(refTo('task')), value: parameter(forField(float, 'progress')) },
    result: voidType,
    async run(call, { self, value }) {
      await requireTask(call, self, 'task.set_progress')
      call.context.catalog.tasks.setProgress(toRef(self), value)
    },
  }),
]
