// The catalog is not the store of its users: what one of them may put there is bounded, by field
// and by number.

import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { requireWithin, taskLimits } from '../../../src/catalog/bounds.ts'
import { GiB, MiB } from '../../../src/units.ts'
import {
  createStartedCatalog,
  createTestCatalog,
  createTestClock,
  createTestVdi,
  testCatalogPath,
} from '../../support/catalogs.ts'

const start = async (path?: string) => {
  const clock = createTestClock()
  const started = await createStartedCatalog(path, clock)
  const { catalog } = started
  const addUser = async (name: string) =>
    (await catalog.users.create({ name, password: 'pw', role: 'read-only' })).uuid
  const eve = await addUser('eve')
  const create = (userUuid: string | null = eve) =>
    catalog.tasks.create({ nameLabel: 'task', userUuid })
  return { ...started, clock, addUser, eve, create, tasks: catalog.tasks }
}

/** Puts tasks into the file, as a server without bounds has let a user do. */
const insertTasks = (
  path: string,
  userUuid: string,
  count: number,
  { status = 'pending', otherConfig = '{}', result = '', age = 0 } = {},
): void => {
  const beside = new DatabaseSync(path)
  const time = new Date(Date.UTC(2025, 5, 1, 11) - age).toISOString()
  const finished = status === 'pending' ? null : time
  beside
    .prepare(
      `with recursive numbers(value) as
         (select 1 union all select value + 1 from numbers where value < ?)
       insert into tasks (uuid, name_label, name_description, other_config, created_at, status,
         progress, result, error_info, user_uuid, has_transfer, finished_at)
       select lower(hex(randomblob(4))) || '-0000-4000-8000-' || printf('%012d', value), 'old', '',
         ?, ?, ?, 0, ?, '[]', ?, 0, ? from numbers`,
    )
    .run(count, otherConfig, time, status, result, userUuid, finished)
  beside.close()
}

describe('a field', () => {
  const bounds = { otherConfig: { characters: 10, entries: 2 }, nameLabel: { characters: 3 } }

  it.each([
    [{ nameLabel: 'abcd' }, ['name_label', '4 characters, the limit is 3']],
    [{ otherConfig: { key: '12345678' } }, ['other_config', '11 characters, the limit is 10']],
    [{ otherConfig: { a: '', b: '', c: '' } }, ['other_config', '3 entries, the limit is 2']],
    [{ otherConfig: ['12345678901'] }, ['other_config', '11 characters, the limit is 10']],
  ])('of %j is refused with the numbers', (changes, params) => {
    expect(() => requireWithin(bounds, changes)).toThrow(
      expect.objectContaining({
        code: 'INVALID_VALUE',
        params,
        message: `${params[0]} has ${params[1]}`,
      }),
    )
  })

  it('within its bound, or without one, is taken', () => {
    const changes = {
      nameLabel: 'abc',
      otherConfig: { key: '1234567' },
      other: 'x'.repeat(99),
    }
    expect(() => requireWithin(bounds, changes)).not.toThrow()
  })

  it('that is too large already may shrink, and not grow', () => {
    const stored = { otherConfig: { a: 'x'.repeat(50) } }
    requireWithin(bounds, { otherConfig: { a: 'x'.repeat(49) } }, stored)
    expect(() => requireWithin(bounds, { otherConfig: { a: 'x'.repeat(51) } }, stored)).toThrow(
      AppError,
    )
  })

  const large = { key: 'x'.repeat(64 * 1024) }
  const tooLarge = { code: 'INVALID_VALUE' }

  it('of any object is checked where it is written', async () => {
    const { catalog, srUuid, hostUuid, poolUuid } = await start()
    const vdi = await createTestVdi(catalog, srUuid)
    const { vdis, srs, hosts, pools } = catalog
    for (const changes of [{ otherConfig: large }, { smConfig: large }, { xenstoreData: large }]) {
      await expect(vdis.update(vdi.uuid, () => changes)).rejects.toMatchObject(tooLarge)
      const row = { srUuid, virtualSize: GiB, format: 'raw', ...changes } as const
      await expect(vdis.create(row)).rejects.toMatchObject(tooLarge)
    }
    const tags = Array.from({ length: 1025 }, (_, index) => String(index))
    await expect(vdis.update(vdi.uuid, () => ({ tags }))).rejects.toMatchObject(tooLarge)
    const change = () => ({ otherConfig: large })
    await expect(srs.update(srUuid, change)).rejects.toMatchObject(tooLarge)
    await expect(hosts.update(hostUuid, change)).rejects.toMatchObject(tooLarge)
    await expect(pools.update(poolUuid, change)).rejects.toMatchObject(tooLarge)
    expect(await vdis.list()).toEqual([vdi])
  })

  it('of a task holds little', async () => {
    const { tasks, create, eve } = await start()
    const ref = await create()
    const before = await tasks.get(ref)
    const text = 'x'.repeat(4097)
    for (const changes of [
      { otherConfig: { a: text } },
      { result: text },
      { errorInfo: [text] },
      { errorInfo: Array.from({ length: 17 }, () => '') },
    ]) {
      await expect(tasks.update(ref, () => changes)).rejects.toMatchObject(tooLarge)
    }
    const named = { nameLabel: text, userUuid: eve }
    await expect(tasks.create(named)).rejects.toMatchObject(tooLarge)
    expect(await tasks.get(ref)).toEqual(before)
  })

  it('of a failure is cut, that of a result too long to keep refused', async () => {
    const { tasks, create } = await start()
    const [failed, long] = [await create(), await create()]
    await tasks.fail(failed, new AppError('INVALID_VALUE', ['name', 'x'.repeat(5000)]))
    expect((await tasks.get(failed))!.errorInfo).toEqual(['INVALID_VALUE', 'name', 'x'.repeat(256)])
    const result = 'x'.repeat(8 * MiB + 1)
    await expect(tasks.succeed(long, result)).rejects.toMatchObject(tooLarge)
    await tasks.succeed(long, result.slice(1))
  })
})

describe('pending tasks', () => {
  it('of one user are 1000, and hinder nobody else', async () => {
    const path = await testCatalogPath()
    const { tasks, create, eve, addUser } = await start(path)
    insertTasks(path, eve, 999)
    const ref = await create()
    await expect(create()).rejects.toMatchObject({
      code: 'TOO_MANY_PENDING_TASKS',
      params: ['the user has 1000 pending tasks, the limit is 1000: end, cancel or destroy some'],
    })
    await create(await addUser('adam'))
    await create(null)
    await tasks.setStatus(ref, 'success')
    await create()
  })

  it('of all users together are 4000, of which each may have 100', async () => {
    const path = await testCatalogPath()
    const { create, eve, addUser } = await start(path)
    for (const name of ['a', 'b', 'c', 'd', 'e']) insertTasks(path, await addUser(name), 800)
    insertTasks(path, eve, 99)
    await create()
    await expect(create()).rejects.toMatchObject({
      code: 'TOO_MANY_PENDING_TASKS',
      params: [
        'all users have 4100 pending tasks, the limit is 4000, and this one has 100 of them: ' +
          'end, cancel or destroy some',
      ],
    })
  })
})

describe('finished tasks', () => {
  it('of one user give way to newer ones, oldest first, and those who watch are told', async () => {
    const path = await testCatalogPath()
    const { catalog, clock, tasks, create, eve } = await start(path)
    const [first, second] = [await create(), await create()]
    await tasks.succeed(first, '')
    clock.advance(1)
    await tasks.succeed(second, '')
    insertTasks(path, eve, 998, { status: 'success', age: -3_600_001 })
    const last = await create()
    const told: string[] = []
    catalog.changes.subscribe((change) => {
      if (change.operation === 'del') told.push(`OpaqueRef:${change.uuid}`)
    })
    clock.advance(10_000)
    await tasks.cancel(last)
    expect(told).toEqual([first])
    expect(await tasks.get(first)).toBeUndefined()
    expect(await tasks.get(second)).toBeDefined()
    expect(await tasks.get(last)).toMatchObject({ status: 'cancelled' })
    expect(await tasks.list()).toHaveLength(taskLimits.finishedOfUser)
  })

  it('hold 16 Mi characters of results, the last one whatever it has', async () => {
    const { clock, tasks, create } = await start()
    const refs: string[] = []
    for (let index = 0; index < 3; index += 1) {
      refs.push(await create())
      clock.advance(1)
      await tasks.succeed(refs[index]!, 'x'.repeat(8 * MiB))
    }
    expect(await tasks.get(refs[0]!)).toBeUndefined()
    expect(await tasks.list()).toHaveLength(2)
  })

  it('of all users together are 4000: whoever has most gives way', async () => {
    const path = await testCatalogPath()
    const { tasks, create, eve, addUser } = await start(path)
    for (const name of ['a', 'b', 'c', 'd']) {
      insertTasks(path, await addUser(name), 800, { status: 'failure' })
    }
    insertTasks(path, eve, 950, { status: 'success' })
    const ref = await create(await addUser('adam'))
    await tasks.succeed(ref, '')
    const list = await tasks.list()
    expect(list).toHaveLength(4000)
    expect(list.filter((task) => task.userUuid === eve)).toHaveLength(799)
    expect(await tasks.get(ref)).toBeDefined()
  })
})

describe('sessions', () => {
  it('of one user are 500: the one not used for the longest time ends', async () => {
    const { catalog, clock, eve } = await start()
    const login = (userUuid = eve) => catalog.sessions.create({ userUuid, originator: '' })
    const root = await login((await catalog.users.getByName('root'))!.uuid)
    const [first, second] = [await login(), await login()]
    clock.advance(120_000)
    expect(await catalog.sessions.find(first.ref)).toBeDefined()
    for (let index = 0; index < 498; index += 1) await login()
    expect(await catalog.sessions.find(second.ref)).toBeDefined()
    clock.advance(1)
    const last = await login()
    const found = async (ref: string) => (await catalog.sessions.find(ref)) !== undefined
    expect(await found(last.ref)).toBe(true)
    expect(await found(root.ref)).toBe(true)
    expect([await found(first.ref), await found(second.ref)]).toEqual([false, true])
  })
})

describe('a catalog of before these bounds', () => {
  it('starts, is brought within them, and keeps what is newest', async () => {
    const path = await testCatalogPath()
    const { catalog, clock, eve, addUser } = await start(path)
    const adam = await addUser('adam')
    await catalog.close()
    const otherConfig = JSON.stringify({ a: 'x'.repeat(60_000) })
    insertTasks(path, eve, 1600, { age: 5000 })
    insertTasks(path, eve, 20, { otherConfig })
    insertTasks(path, eve, 1600, { status: 'success', age: 5000, result: 'y'.repeat(40_000) })
    insertTasks(path, adam, 30, { status: 'failure', otherConfig })
    const restarted = await createTestCatalog(path, clock)
    expect(await restarted.tasks.recover()).toEqual({ trimmed: 620 + 1181, failed: 0 })
    const list = await restarted.tasks.list()
    expect(list).toHaveLength(1000 + 419 + 30)
    expect(JSON.stringify(list.filter((task) => task.status !== 'success')).length).toBeLessThan(
      MiB,
    )
    expect(list.filter((task) => task.userUuid === adam)).toHaveLength(30)
    expect(new Set(await restarted.tasks.uuids())).toEqual(new Set(list.map(({ uuid }) => uuid)))
    const ref = await restarted.tasks.create({ nameLabel: randomUUID(), userUuid: adam })
    expect(await restarted.tasks.get(ref)).toBeDefined()
  })
})
