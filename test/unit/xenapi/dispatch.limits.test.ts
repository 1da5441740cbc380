// What one user, be it one that may only read, can take of the server: tasks, their fields, events.

import { describe, expect, it } from 'vitest'
import { createChanges } from '../../../src/catalog/changes.ts'
import { createEventFeed } from '../../../src/xenapi/events/event-feed.ts'
import { createRegistrations } from '../../../src/xenapi/events/event-registrations.ts'
import { createSubscription } from '../../../src/xenapi/events/event-subscription.ts'
import { createTestApi } from '../../support/xenapi.ts'

describe('a user who may only read', () => {
  it('makes 1000 tasks, then no more, by any way; others go on', async () => {
    const { dispatcher, loginAs, call, catalog } = await createTestApi()
    const session = await loginAs('read-only')
    const create = (method = 'task.create') =>
      dispatcher.call({ method, params: [session, 'mine', ''] })
    const refs: string[] = []
    while (refs.length < 1000) refs.push((await create()) as string)
    const refusal = {
      code: 'TOO_MANY_PENDING_TASKS',
      params: ['the user has 1000 pending tasks, the limit is 1000: end, cancel or destroy some'],
    }
    await expect(create()).rejects.toMatchObject(refusal)
    await expect(create('Async.task.create')).rejects.toMatchObject(refusal)
    await call('task.create', 'of root', '')
    await dispatcher.call({ method: 'task.destroy', params: [session, refs[0]!] })
    await create()
    expect(await catalog.tasks.list()).toHaveLength(1001)
  })

  it('cannot make a task hold more than a few KiB, in one call or in many', async () => {
    const { dispatcher, loginAs, call } = await createTestApi()
    const session = await loginAs('read-only')
    const own = (method: string, ...params: never[]) =>
      dispatcher.call({ method, params: [session, ...params] })
    const ref = (await own('task.create', ...(['mine', ''] as never[]))) as string
    const large = 'x'.repeat(5000)
    for (const [method, value, field] of [
      ['task.set_other_config', { key: large }, 'other_config'],
      ['task.set_result', large, 'result'],
      ['task.set_error_info', [large], 'error_info'],
    ] as const) {
      await expect(own(method, ...([ref, value] as never[]))).rejects.toMatchObject({
        code: 'INVALID_VALUE',
        params: [field, expect.stringMatching(/^500\d characters, the limit is 4096$/) as string],
      })
    }
    const add = (index: number) =>
      own('task.add_to_other_config', ...([ref, `key ${index}`, 'value'] as never[]))
    for (let index = 0; index < 64; index += 1) await add(index)
    await expect(add(64)).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      params: ['other_config', '65 entries, the limit is 64'],
    })
    const records = await call('task.get_all_records')
    expect(JSON.stringify(records).length).toBeLessThan(4096)
  })
})

describe('calls that wait for events', () => {
  it('are 1000 of one user; others wait on, and one that has left makes room', async () => {
    const feed = createEventFeed({ changes: createChanges(), existing: new Map() })
    const subscription = createSubscription(['pool'])
    const wait = (user: string, signal?: AbortSignal) =>
      feed.wait(subscription, 60_000, signal, user)
    const leaving = new AbortController()
    const waiting = [wait('eve', leaving.signal)]
    while (waiting.length < 1000) waiting.push(wait('eve'))
    await expect(wait('eve')).rejects.toMatchObject({
      code: 'TOO_BUSY',
      message:
        'Too many calls wait for events: 1000 of the user, 1000 in all; the limits are 1000 and 4000',
    })
    const other = wait('adam')
    leaving.abort()
    expect(await waiting[0]).toBeUndefined()
    const last = wait('eve')
    feed.close()
    const outcomes = await Promise.allSettled([...waiting.slice(1), other, last])
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']))
    expect(outcomes).toHaveLength(1001)
  })
})

describe('registrations for events', () => {
  it('of one user are 256: its own oldest gives way, not that of another', () => {
    const registrations = createRegistrations()
    registrations.register('of adam', 'adam', ['*'], 0)
    for (let index = 0; index < 257; index += 1) {
      registrations.register(`of eve ${index}`, 'eve', ['*'], 0)
    }
    expect(registrations.require('of adam').names).toEqual(new Set(['*']))
    expect(() => registrations.require('of eve 0')).toThrow(
      expect.objectContaining({ code: 'SESSION_NOT_REGISTERED' }),
    )
    expect(registrations.require('of eve 1').names).toEqual(new Set(['*']))
  })

  it('name 1024 classes and objects, in one call or in many', () => {
    const registrations = createRegistrations()
    const names = (count: number) => Array.from({ length: count }, (_, index) => `vdi/${index}`)
    registrations.register('one', 'eve', names(1000), 0)
    registrations.register('one', 'eve', names(1024), 0)
    expect(() => registrations.register('one', 'eve', ['pool'], 0)).toThrow(
      expect.objectContaining({
        code: 'INVALID_VALUE',
        params: ['classes', '1025 names, the limit is 1024'],
      }),
    )
    expect(registrations.require('one').names.size).toBe(1024)
  })
})
