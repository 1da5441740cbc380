// Events: what a client that watches is told, when, and from where on.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createChanges } from '../../../../src/catalog/changes.ts'
import { AppError } from '../../../../src/errors.ts'
import { createEventFeed } from '../../../../src/xenapi/events/event-feed.ts'
import { createSubscription } from '../../../../src/xenapi/events/event-subscription.ts'
import type { WireMap } from '../../../../src/xenapi/wire/values.ts'
import { within } from '../../../support/wait.ts'
import type { TestApi } from '../../../support/xenapi.ts'
import { createTestApi, createVdi } from '../../../support/xenapi.ts'
import { WireInt } from '../../../../src/xenapi/wire/values.ts'

interface Batch {
  readonly token: string
  readonly events: readonly (WireMap & {
    readonly id: string
    readonly class: string
    readonly operation: string
    readonly ref: string
    readonly snapshot?: WireMap
  })[]
  readonly valid_ref_counts: Readonly<Record<string, bigint>>
}

/** Asks from `token` on; a timeout of 0 does not wait. */
const from = async (api: TestApi, classes: string[], token = '', timeout = 0): Promise<Batch> =>
  (await within('event.from', api.call('event.from', classes, token, timeout))) as unknown as Batch

const told = ({ events }: Batch): string[] =>
  events.map((event) => `${event.operation} ${event.class} ${event.ref}`)

/** A token that has seen all until now. */
const now = async (api: TestApi): Promise<string> => (await from(api, [])).token

describe('event.from', () => {
  it('tells all that is there to an empty token', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api)
    const batch = await from(api, ['vdi', 'Pool'], '', 60.1)
    expect(told(batch)).toEqual([`add pool OpaqueRef:${api.poolUuid}`, `add vdi ${vdi}`])
    expect(batch.events[1]!.snapshot).toEqual(await api.call('VDI.get_record', vdi))
    expect(batch.valid_ref_counts).toEqual({ pool: 1n, vdi: 1n })
  })

  it('tells what has changed since the token, once for each object, with its latest record', async () => {
    const api = await createTestApi()
    const old = await createVdi(api)
    const gone = await createVdi(api)
    const token = await now(api)
    const made = await createVdi(api)
    await api.call('VDI.set_name_label', old, 'one')
    await api.call('VDI.set_name_label', old, 'two')
    await api.call('VDI.destroy', gone)
    await api.call('VDI.destroy', await createVdi(api))
    const batch = await from(api, ['VDI'], token, 60.1)
    expect(told(batch)).toEqual([`add vdi ${made}`, `mod vdi ${old}`, `del vdi ${gone}`])
    expect(batch.events.map((event) => event.snapshot?.['name_label'])).toEqual([
      'disk',
      'two',
      undefined,
    ])
    expect(batch.events[2]).not.toHaveProperty('snapshot')
    expect(batch.events[0]).toMatchObject({
      id: expect.any(WireInt) as WireInt,
      timestamp: expect.stringMatching(/^\d+\.\d$/) as string,
    })
    expect(batch.valid_ref_counts).toEqual({ vdi: 2n })
    expect(told(await from(api, ['VDI'], batch.token))).toEqual([])
  })

  it.each([['*'], ['vdi'], ['VDI'], ['Vdi/{ref}'], ['task', 'vdi/{uuid}'], ['nothing', 'vDi']])(
    'watches a VDI by %j',
    async (...names) => {
      const api = await createTestApi()
      const vdi = await createVdi(api)
      const token = await now(api)
      await api.call('VDI.set_name_label', vdi, 'new')
      const uuid = vdi.replace('OpaqueRef:', '')
      const classes = names.map((name) => name.replace('{ref}', vdi).replace('{uuid}', uuid))
      expect(told(await from(api, classes, token))).toEqual([`mod vdi ${vdi}`])
    },
  )

  it.each([
    [[]],
    [['task']],
    [['vm', 'anything']],
    [[`vdi/OpaqueRef:${randomUUID()}`]],
    [['vdi/OpaqueRef:NULL', 'vdi/']],
  ])('%j does not watch a VDI', async (classes) => {
    const api = await createTestApi()
    const vdi = await createVdi(api)
    const token = await now(api)
    await api.call('VDI.set_name_label', vdi, 'new')
    const batch = await from(api, classes, token)
    expect(batch.events).toEqual([])
    expect(batch.token > token).toBe(true)
  })

  it('wakes at once, and not for what is not watched', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api)
    const waiting = from(api, ['task', `vdi/${vdi}`], await now(api), 60.1)
    await api.call('SR.set_name_label', api.srUuid, 'renamed')
    await createVdi(api)
    await api.call('VDI.set_name_label', vdi, 'new')
    const batch = await waiting
    expect(told(batch)).toEqual([`mod vdi ${vdi}`])
    expect(batch.events[0]!.snapshot).toMatchObject({ name_label: 'new' })
    expect(batch.valid_ref_counts).toEqual({ task: 0n, vdi: 2n })
  })

  it('ends with nothing and a new token when the time is over', async () => {
    const api = await createTestApi()
    const token = await now(api)
    const batch = await from(api, ['VDI'], token, 0.01)
    expect(batch).toEqual({ token, events: [], valid_ref_counts: { vdi: 0n } })
  })

  it('takes a negative timeout, and one as text', async () => {
    const api = await createTestApi()
    const token = await now(api)
    for (const timeout of [-1, '-1.5', '0.01']) {
      expect(await api.call('event.from', ['VDI'], token, timeout)).toMatchObject({ events: [] })
    }
  })

  it('ends when the client leaves', async () => {
    const api = await createTestApi()
    const client = new AbortController()
    const params = [api.session, ['VDI'], await now(api), 600]
    const waiting = api.dispatcher.call({ method: 'event.from', params }, client.signal)
    await api.call('VDI.get_all')
    client.abort()
    expect(await within('the call to end', waiting)).toMatchObject({ events: [] })
  })

  it('ends when the server stops', async () => {
    const api = await createTestApi()
    const waiting = api.call('event.from', ['VDI'], await now(api), 600)
    await api.call('VDI.get_all')
    api.context.events.close()
    await expect(waiting).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
    const late = api.call('event.from', ['VDI'], await now(api), 600)
    await expect(late).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
  })

  it('refuses what is no token', async () => {
    const api = await createTestApi()
    for (const token of ['x', '1', '1,2,3', '1,-2', `${'1'.repeat(21)},1`]) {
      await expect(from(api, ['VDI'], token)).rejects.toMatchObject({
        code: 'EVENT_FROM_TOKEN_PARSE_FAILURE',
        params: [token],
      })
    }
  })

  it('a token of another process, or of the future, is lost', async () => {
    const api = await createTestApi()
    const [epoch, position] = (await now(api)).split(',')
    for (const token of [`${Number(epoch) - 1},${position}`, `${epoch},${Number(position) + 1}`]) {
      await expect(from(api, ['VDI'], token)).rejects.toMatchObject({ code: 'EVENTS_LOST' })
    }
  })
})

describe('what is told', () => {
  it('a VDI changes its SR, and a snapshot the VDI it was taken of', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api)
    const token = await now(api)
    const snapshot = await api.catalog.vdis.create({
      srUuid: api.srUuid,
      virtualSize: 512,
      format: 'raw',
      isSnapshot: true,
      snapshotOfUuid: vdi.replace('OpaqueRef:', ''),
    })
    const both = await from(api, ['VDI', 'SR'], token)
    expect(told(both)).toEqual([
      `add vdi OpaqueRef:${snapshot.uuid}`,
      `mod sr OpaqueRef:${api.srUuid}`,
      `mod vdi ${vdi}`,
    ])
    await api.catalog.vdis.destroy(vdi.replace('OpaqueRef:', ''))
    expect(told(await from(api, ['VDI'], both.token))).toEqual([
      `del vdi ${vdi}`,
      `mod vdi OpaqueRef:${snapshot.uuid}`,
    ])
  })

  it('a task, its progress at once, its end and that it has gone', async () => {
    const api = await createTestApi()
    let { token } = await from(api, [])
    const next = async (): Promise<unknown> => {
      const batch = await from(api, ['task'], token, 60.1)
      token = batch.token
      return batch.events.map(({ operation, snapshot }) => [
        operation,
        snapshot?.['status'],
        snapshot?.['progress'],
      ])
    }
    const task = (await api.call('task.create', 'copy', '')) as string
    expect(await next()).toEqual([['add', 'pending', 0]])
    const waiting = next()
    await api.call('task.set_progress', task, 0.25)
    expect(await waiting).toEqual([['mod', 'pending', 0.25]])
    // Too soon for news of its own: told a second later.
    await api.call('task.set_progress', task, 0.5)
    expect(await next()).toEqual([['mod', 'pending', 0.5]])
    await api.call('task.cancel', task)
    expect(await next()).toEqual([['mod', 'cancelled', 1]])
    await api.call('task.destroy', task)
    expect(await next()).toEqual([['del', undefined, undefined]])
    await api.call('task.set_progress', await api.call('task.create', 'x', ''), 1)
    expect(await next()).toEqual([['add', 'pending', 1]])
  })

  it('tasks that were forgotten', async () => {
    const api = await createTestApi()
    const task = (await api.call('task.create', 'old', '')) as string
    await api.call('task.set_status', task, 'success')
    const token = await now(api)
    api.clock.advance(66 * 60_000)
    expect(await api.catalog.tasks.expire()).toBe(1)
    expect(told(await from(api, ['task'], token))).toEqual([`del task ${task}`])
  })

  it('the end of an import, with the size that it left', async () => {
    const api = await createTestApi()
    const vdi = await createVdi(api)
    const token = await now(api)
    const layer = {
      uuid: randomUUID(),
      srUuid: api.srUuid,
      parentUuid: null,
      format: 'qcow2',
    } as const
    const vdiUuid = vdi.replace('OpaqueRef:', '')
    await api.catalog.layers.begin({ ...layer, virtualSize: 512, createdAt: new Date() })
    const commit = { ...layer, vdiUuid, expectedLayerUuid: null, fileSize: 4096 }
    await api.catalog.layers.commit(commit)
    const batch = await from(api, ['VDI', 'SR'], token)
    expect(told(batch)).toEqual([`mod vdi ${vdi}`, `mod sr OpaqueRef:${api.srUuid}`])
    expect(batch.events[0]!.snapshot).toMatchObject({ physical_utilisation: { value: 4096 } })
  })
})

describe('event.inject', () => {
  it('lets an object count as changed; its token is where that stands', async () => {
    const api = await createTestApi()
    const before = await now(api)
    const token = (await api.call('event.inject', 'POOL', api.poolUuid)) as string
    expect(token > before).toBe(true)
    expect(told(await from(api, ['pool'], before))).toEqual([`mod pool OpaqueRef:${api.poolUuid}`])
    const batch = await from(api, ['pool'], token)
    expect(batch).toMatchObject({ token, events: [] })
  })

  it.each([
    ['pool', `OpaqueRef:${randomUUID()}`],
    ['pool', 'OpaqueRef:NULL'],
    ['VTPM', 'OpaqueRef:NULL'],
  ])('refuses %s %s', async (name, ref) => {
    const api = await createTestApi()
    await expect(api.call('event.inject', name, ref)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: [name, ref],
    })
  })
})

describe('event.register and event.next', () => {
  it('tell what comes after the registration, each once', async () => {
    const api = await createTestApi()
    await createVdi(api)
    await api.call('event.register', ['VDI'])
    const vdi = await createVdi(api)
    expect(await api.call('event.next')).toMatchObject([
      { operation: 'add', class: 'vdi', ref: vdi, snapshot: { name_label: 'disk' } },
    ])
    const waiting = within('event.next', api.call('event.next'))
    await api.call('task.create', 'not watched', '')
    await api.call('VDI.destroy', vdi)
    expect(await waiting).toMatchObject([{ operation: 'del', class: 'vdi', ref: vdi }])
  })

  it('add to what is registered, and take back', async () => {
    const api = await createTestApi()
    await api.call('event.register', ['VDI'])
    await api.call('event.register', ['Task'])
    await api.call('event.unregister', ['vdi', 'pool'])
    await createVdi(api)
    const task = await api.call('task.create', 'watched', '')
    expect(await api.call('event.next')).toMatchObject([{ class: 'task', ref: task! }])
    await api.call('event.unregister', ['TASK'])
    await expect(api.call('event.next')).rejects.toMatchObject({ code: 'SESSION_NOT_REGISTERED' })
  })

  it('belong to one session', async () => {
    const api = await createTestApi()
    await api.call('event.register', ['*'])
    const params = [await api.login()]
    const other = api.dispatcher.call({ method: 'event.next', params })
    await expect(other).rejects.toMatchObject({ code: 'SESSION_NOT_REGISTERED' })
  })
})

describe('the feed', () => {
  const start = (history: number) => {
    const changes = createChanges()
    const feed = createEventFeed({ changes, existing: new Map([['VDI', ['old']]]), history })
    return { changes, feed }
  }

  it('forgets what is long ago, and says so', () => {
    const { changes, feed } = start(4)
    for (let index = 1; index <= 8; index += 1) changes.emit('VDI', `vdi ${index}`, 'add')
    expect(feed.since(4).map((entry) => entry.uuid)).toEqual(['vdi 5', 'vdi 6', 'vdi 7', 'vdi 8'])
    expect(() => feed.since(3)).toThrow(AppError)
    changes.emit('VDI', 'vdi 1', 'mod')
    expect(feed.since(8)).toMatchObject([{ uuid: 'vdi 1', createdAt: 0 }])
  })

  it('holds one object that changes for ever in one place', () => {
    const { changes, feed } = start(4)
    for (let index = 0; index < 1000; index += 1) changes.emit('VDI', 'old', 'mod')
    expect(feed.since(0)).toMatchObject([{ uuid: 'old', position: 1000 }])
  })

  it('a client that waits loses nothing, however much else happens', async () => {
    const { changes, feed } = start(4)
    const waiting = feed.wait(createSubscription(['pool']), 60_000)
    for (let index = 0; index < 100; index += 1) changes.emit('VDI', `vdi ${index}`, 'add')
    changes.emit('pool', 'new', 'add')
    expect(await waiting).toMatchObject({ className: 'pool', position: 101 })
  })

  it('asks once for a record that many want', async () => {
    const { changes, feed } = start(4)
    changes.emit('VDI', 'old', 'mod')
    const [entry] = feed.since(0)
    let asked = 0
    const read = async () => {
      asked += 1
      return { uuid: 'old' }
    }
    await Promise.all(Array.from({ length: 500 }, () => feed.share(entry!, read)))
    expect(asked).toBe(1)
    changes.emit('VDI', 'old', 'mod')
    await feed.share(feed.since(0)[0]!, read)
    expect(asked).toBe(2)
  })

  it('is not moved by news of what is not there', () => {
    const { changes, feed } = start(4)
    changes.emit('VDI', 'unknown', 'mod')
    changes.emit('VDI', 'unknown', 'del')
    expect(feed.position).toBe(0)
    expect(feed.count('VDI')).toBe(1)
  })
})
