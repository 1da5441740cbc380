// Tasks: progress in memory, one outcome, what a crash leaves, and how long they are kept.

import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import { createTaskProgress } from '../../../../src/catalog/tasks/task-progress.ts'
import type { Catalog } from '../../../../src/catalog/catalog.ts'
import {
  createStartedCatalog,
  createTestCatalog,
  createTestClock,
  testCatalogPath,
} from '../../../support/catalogs.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const start = async (path?: string) => {
  const clock = createTestClock()
  const { catalog } = await createStartedCatalog(path, clock)
  const root = (await catalog.users.getByName('root'))!
  const create = () => catalog.tasks.create({ nameLabel: 'export', userUuid: root.uuid })
  return { catalog, clock, root, create, tasks: catalog.tasks, ref: await create() }
}

const statusOf = async (catalog: Catalog, ref: string) => (await catalog.tasks.get(ref))?.status

describe('a task', () => {
  it('starts pending', async () => {
    const { tasks, clock, root, ref } = await start()
    expect(await tasks.get(ref)).toEqual({
      uuid: ref.slice('OpaqueRef:'.length),
      nameLabel: 'export',
      nameDescription: '',
      status: 'pending',
      progress: 0,
      result: '',
      errorInfo: [],
      userUuid: root.uuid,
      subtaskOfUuid: null,
      otherConfig: {},
      hasTransfer: false,
      createdAt: clock.now(),
      finishedAt: null,
    })
    expect(await tasks.list()).toHaveLength(1)
  })

  it('is named by its reference or its bare uuid', async () => {
    const { tasks, ref } = await start()
    expect(await tasks.get(ref.slice('OpaqueRef:'.length).toUpperCase())).toBeDefined()
    for (const other of [randomUUID(), 'OpaqueRef:NULL', '', 'task']) {
      expect(await tasks.get(other)).toBeUndefined()
      await expect(tasks.take(other)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
      await expect(tasks.destroy(other)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
      await expect(tasks.update(other, () => ({}))).rejects.toMatchObject({
        code: 'HANDLE_INVALID',
      })
    }
  })

  it('succeeds with a result', async () => {
    const { tasks, clock, ref } = await start()
    clock.advance(5000)
    await tasks.succeed(ref, '<value>OpaqueRef:1</value>')
    expect(await tasks.get(ref)).toMatchObject({
      status: 'success',
      progress: 1,
      result: '<value>OpaqueRef:1</value>',
      errorInfo: [],
      finishedAt: clock.now(),
    })
  })

  it('fails with the code and parameters of the error', async () => {
    const { tasks, ref } = await start()
    await tasks.fail(ref, new AppError('VDI_IO_ERROR', ['device', 'lost']))
    expect(await tasks.get(ref)).toMatchObject({
      status: 'failure',
      result: '',
      errorInfo: ['VDI_IO_ERROR', 'device', 'lost'],
    })
  })

  it('is cancelled in two steps', async () => {
    const { tasks, ref } = await start()
    await tasks.cancelling(ref)
    expect(await tasks.get(ref)).toMatchObject({ status: 'cancelling', finishedAt: null })
    await tasks.cancel(ref)
    expect(await tasks.get(ref)).toMatchObject({ status: 'cancelled', errorInfo: [] })
  })

  it('may still succeed while it is told to stop', async () => {
    const { catalog, tasks, ref } = await start()
    await tasks.cancelling(ref)
    await tasks.succeed(ref, '')
    expect(await statusOf(catalog, ref)).toBe('success')
  })

  it.each(['success', 'failure', 'cancelled'] as const)(
    'stays as it is after %s',
    async (outcome) => {
      const { tasks, clock, ref } = await start()
      if (outcome === 'success') await tasks.succeed(ref, 'first')
      else if (outcome === 'cancelled') await tasks.cancel(ref)
      else await tasks.fail(ref, new AppError('SR_FULL', ['1']))
      const ended = await tasks.get(ref)
      expect(ended?.status).toBe(outcome)
      clock.advance(1000)
      await tasks.succeed(ref, 'second')
      await tasks.fail(ref, new AppError('INTERNAL_ERROR', ['late']))
      await tasks.cancelling(ref)
      await tasks.cancel(ref)
      await tasks.setStatus(ref, 'pending')
      await tasks.setStatus(ref, 'success')
      tasks.setProgress(ref, 0.5)
      expect(await tasks.get(ref)).toEqual(ended)
    },
  )

  it('that its client has destroyed takes any outcome without harm', async () => {
    const { tasks, ref } = await start()
    tasks.setProgress(ref, 0.5)
    await tasks.destroy(ref)
    tasks.setProgress(ref, 0.7)
    await tasks.succeed(ref, '')
    await tasks.cancelling(ref)
    await tasks.setStatus(ref, 'failure')
    expect(await tasks.get(ref)).toBeUndefined()
  })

  it('takes its outcome from the client that made it', async () => {
    const { tasks, ref } = await start()
    await tasks.update(ref, () => ({ errorInfo: ['MINE'], otherConfig: { a: 'b' } }))
    await tasks.setStatus(ref, 'cancelling')
    await tasks.setStatus(ref, 'failure')
    expect(await tasks.get(ref)).toMatchObject({
      status: 'failure',
      errorInfo: ['MINE'],
      otherConfig: { a: 'b' },
    })
  })

  it('cannot be taken by a transfer once it is cancelled', async () => {
    const { tasks, create, ref } = await start()
    expect(await tasks.take(ref)).toMatchObject({ hasTransfer: true })
    expect(await tasks.get(ref)).toMatchObject({ hasTransfer: true })
    const other = await create()
    await tasks.cancel(other)
    await expect(tasks.take(other)).rejects.toMatchObject({
      code: 'TASK_CANCELLED',
      params: [other],
    })
  })
})

describe('progress', () => {
  it('is seen at once, in the task and in the list', async () => {
    const { tasks, ref } = await start()
    tasks.setProgress(ref, 0.25)
    expect(await tasks.get(ref)).toMatchObject({ progress: 0.25 })
    expect((await tasks.list())[0]).toMatchObject({ progress: 0.25 })
    tasks.setProgress(ref, 7)
    tasks.setProgress(ref, Number.NaN)
    expect(await tasks.get(ref)).toMatchObject({ progress: 1 })
  })

  it('is on disk once the catalog is closed', async () => {
    const path = await testCatalogPath()
    const { catalog, tasks, ref } = await start(path)
    tasks.setProgress(ref, 0.75)
    await catalog.close()
    const reopened = await createTestCatalog(path)
    expect(await reopened.tasks.get(ref)).toMatchObject({ status: 'pending', progress: 0.75 })
  })

  it('is not written over an outcome that comes before it', async () => {
    const path = await testCatalogPath()
    const { catalog, tasks, ref } = await start(path)
    tasks.setProgress(ref, 0.75)
    await tasks.succeed(ref, '')
    tasks.setProgress(ref, 0.9)
    await catalog.close()
    const reopened = await createTestCatalog(path)
    expect(await reopened.tasks.get(ref)).toMatchObject({ status: 'success', progress: 1 })
  })
})

describe('the keeper of progress', () => {
  it('writes once a second whatever comes, and nothing when nothing came', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const written: [string, number][][] = []
    const progress = createTaskProgress(async (fractions) => {
      written.push([...fractions])
    })
    for (let step = 1; step <= 100; step += 1) progress.set('a', step / 1000)
    progress.set('b', 1)
    await vi.advanceTimersByTimeAsync(999)
    expect(written).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(written).toEqual([
      [
        ['a', 0.1],
        ['b', 1],
      ],
    ])
    expect(progress.get('a')).toBeUndefined()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(written).toHaveLength(1)
    progress.set('a', 0.2)
    await vi.advanceTimersByTimeAsync(1000)
    expect(written[1]).toEqual([['a', 0.2]])
  })

  it('keeps what came during a write for the next one, and what a failed write lost', async () => {
    const written: number[] = []
    let during = (): void => {}
    const progress = createTaskProgress(async (fractions) => {
      during()
      written.push(fractions.get('a')!)
    })
    progress.set('a', 0.1)
    during = () => progress.set('a', 0.2)
    await progress.flush()
    during = () => {
      throw new Error('disk full')
    }
    await progress.flush()
    expect(progress.get('a')).toBe(0.2)
    during = () => {}
    await progress.close()
    expect(written).toEqual([0.1, 0.2])
    progress.set('a', 0.3)
    expect(progress.get('a')).toBeUndefined()
  })
})

describe('after a crash', () => {
  it('tasks whose transfer was running end, others wait on', async () => {
    const path = await testCatalogPath()
    const { catalog, clock, tasks, create, ref: waiting } = await start(path)
    const [running, stopping, done] = [await create(), await create(), await create()]
    for (const ref of [running, stopping, done]) await tasks.take(ref)
    await tasks.cancelling(stopping)
    await tasks.succeed(done, '')
    const finished = await tasks.get(done)
    await catalog.close()
    clock.advance(1000)
    const restarted = await createTestCatalog(path, clock)
    expect(await restarted.tasks.recover()).toMatchObject({ failed: 2 })
    expect(await restarted.tasks.get(running)).toMatchObject({
      status: 'failure',
      errorInfo: ['INTERNAL_ERROR', 'The server stopped while the transfer was running'],
      finishedAt: clock.now(),
    })
    expect(await statusOf(restarted, stopping)).toBe('cancelled')
    expect(await statusOf(restarted, waiting)).toBe('pending')
    expect(await restarted.tasks.get(done)).toEqual(finished)
    expect(await restarted.tasks.recover()).toMatchObject({ failed: 0 })
  })
})

describe('expiry', () => {
  it('takes tasks that ended 65 minutes ago, and those that waited 24 hours', async () => {
    const { catalog, clock, tasks, create, ref: waiting } = await start()
    const [running, done] = [await create(), await create()]
    await tasks.take(running)
    await tasks.cancel(done)
    clock.advance(65 * MINUTE - 1)
    expect(await tasks.expire()).toBe(0)
    clock.advance(1)
    expect(await tasks.expire()).toBe(1)
    expect(await tasks.get(done)).toBeUndefined()
    clock.advance(23 * HOUR)
    expect(await tasks.expire()).toBe(1)
    expect(await tasks.get(waiting)).toBeUndefined()
    expect(await statusOf(catalog, running)).toBe('pending')
  })

  it('of a task leaves its subtasks and its user', async () => {
    const path = await testCatalogPath()
    const { catalog, clock, tasks, root, ref } = await start(path)
    clock.advance(HOUR)
    const child = await tasks.create({ nameLabel: 'part', userUuid: root.uuid, subtaskOf: ref })
    clock.advance(23 * HOUR)
    expect(await tasks.expire()).toBe(1)
    expect(await tasks.get(child)).toMatchObject({ subtaskOfUuid: null })
    await catalog.users.create({ name: 'heir', password: 'x', role: 'pool-admin' })
    await catalog.users.destroy(root.uuid)
    expect(await tasks.get(child)).toMatchObject({ userUuid: null })
    const beside = new DatabaseSync(path)
    expect(beside.prepare('pragma foreign_key_check').all()).toEqual([])
    beside.close()
  })
})
