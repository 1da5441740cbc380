// Tasks as clients see them.

import { describe, expect, it } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { createTestApi } from '../../../support/xenapi.ts'

const start = async () => {
  const api = await createTestApi()
  const ref = (await api.call('task.create', 'export', 'of a disk')) as string
  return { ...api, ref }
}

/** Rejects when `signal` is aborted. */
const rejected = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

describe('a task', () => {
  it('has the record of XenAPI', async () => {
    const { call, ref, hostUuid, clock } = await start()
    expect(await call('task.get_record', ref)).toEqual({
      uuid: ref.slice('OpaqueRef:'.length),
      name_label: 'export',
      name_description: 'of a disk',
      allowed_operations: ['cancel', 'destroy'],
      current_operations: {},
      created: clock.now(),
      finished: new Date(0),
      status: 'pending',
      resident_on: `OpaqueRef:${hostUuid}`,
      progress: 0,
      type: '<none/>',
      result: '',
      error_info: [],
      other_config: {},
      subtask_of: 'OpaqueRef:NULL',
      subtasks: [],
      backtrace: '()',
    })
  })

  it('shows progress as it comes, and its outcome', async () => {
    const { call, catalog, clock, ref } = await start()
    catalog.tasks.setProgress(ref, 0.5)
    expect(await call('task.get_progress', ref)).toBe(0.5)
    clock.advance(2000)
    await catalog.tasks.fail(ref, new AppError('VDI_IO_ERROR', ['cut short']))
    expect(await call('task.get_record', ref)).toMatchObject({
      status: 'failure',
      error_info: ['VDI_IO_ERROR', 'cut short'],
      finished: clock.now(),
      allowed_operations: ['destroy'],
    })
  })

  it('knows its parts', async () => {
    const { call, catalog, ref } = await start()
    const part = await catalog.tasks.create({ nameLabel: 'part', userUuid: null, subtaskOf: ref })
    expect(await call('task.get_subtasks', ref)).toEqual([part])
    expect(await call('task.get_subtask_of', part)).toBe(ref)
  })

  it('is destroyed by its client', async () => {
    const { call, ref } = await start()
    expect(await call('task.destroy', ref)).toBe('')
    for (const method of ['destroy', 'cancel', 'get_status', 'get_record']) {
      await expect(call(`task.${method}`, ref)).rejects.toMatchObject({
        code: 'HANDLE_INVALID',
        params: ['task', ref],
      })
    }
  })

  it('is run by a client of its own', async () => {
    const { call, ref } = await start()
    await call('task.set_progress', ref, 0.3)
    expect(await call('task.get_progress', ref)).toBe(0.3)
    await call('task.set_progress', ref, '0.4')
    expect(await call('task.get_progress', ref)).toBe(0.4)
    await call('task.set_result', ref, '<value>done</value>')
    await call('task.add_to_other_config', ref, 'key', 'value')
    await call('task.set_status', ref, 'success')
    await call('task.set_progress', ref, 0.1)
    expect(await call('task.get_record', ref)).toMatchObject({
      status: 'success',
      progress: 1,
      result: '<value>done</value>',
      other_config: { key: 'value' },
    })
    await expect(call('task.set_status', ref, 'bored')).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      params: ['status', 'bored'],
    })
  })
})

describe('task.cancel', () => {
  it('ends at once what nobody has taken', async () => {
    const { call, ref } = await start()
    expect(await call('task.cancel', ref)).toBe('')
    expect(await call('task.get_status', ref)).toBe('cancelled')
    expect(await call('task.cancel', ref)).toBe('')
  })

  it('tells the transfer to stop, which ends the task', async () => {
    const { call, catalog, transfers, ref } = await start()
    await catalog.tasks.take(ref)
    const transfer = transfers.run({ ref }, ({ signal }) => rejected(signal))
    const cancelling = call('task.cancel', ref)
    await expect(transfer).rejects.toMatchObject({ code: 'TASK_CANCELLED', params: [ref] })
    await cancelling
    expect(await call('task.get_status', ref)).toBe('cancelling')
    await catalog.tasks.cancel(ref)
    expect(await call('task.get_status', ref)).toBe('cancelled')
  })

  it('leaves the outcome to what cannot be stopped', async () => {
    const { call, catalog, ref } = await start()
    await catalog.tasks.take(ref)
    await call('task.cancel', ref)
    expect(await call('task.get_status', ref)).toBe('cancelling')
    await catalog.tasks.succeed(ref, '')
    expect(await call('task.get_status', ref)).toBe('success')
  })

  it('does nothing to a task that has ended', async () => {
    const { call, catalog, ref } = await start()
    await catalog.tasks.succeed(ref, 'done')
    await call('task.cancel', ref)
    expect(await call('task.get_record', ref)).toMatchObject({ status: 'success', result: 'done' })
  })
})

describe('the task of another', () => {
  const methods: [string, Wire[]][] = [
    ['task.cancel', []],
    ['task.destroy', []],
    ['task.set_status', ['success']],
    ['task.set_progress', [0.5]],
    ['task.set_result', ['x']],
    ['task.add_to_other_config', ['a', 'b']],
  ]

  it.each(methods)('may be seen but not touched by %s', async (method, more) => {
    const { call, dispatcher, loginAs, ref } = await start()
    const session = await loginAs('vm-power-admin')
    const read = { method: 'task.get_status', params: [session, ref] }
    expect(await dispatcher.call(read)).toBe('pending')
    await expect(
      dispatcher.call({ method, params: [session, ref, ...more] }),
    ).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
    expect(await call('task.get_record', ref)).toMatchObject({
      status: 'pending',
      progress: 0,
      other_config: {},
    })
    const operator = await loginAs('pool-operator')
    await dispatcher.call({ method, params: [operator, ref, ...more] })
  })

  it('is no hindrance to one of ones own', async () => {
    const { dispatcher, loginAs } = await start()
    const session = await loginAs('read-only')
    const create = { method: 'task.create', params: [session, 'mine', ''] }
    const ref = await dispatcher.call(create)
    await dispatcher.call({ method: 'task.cancel', params: [session, ref] })
    expect(await dispatcher.call({ method: 'task.destroy', params: [session, ref] })).toBe('')
  })
})
