// Tasks of the server's own: in memory while they are young, written down when they last.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createCatalog } from '../../../../src/catalog/catalog.ts'
import { AppError } from '../../../../src/errors.ts'

const createTest = async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const catalog = await createCatalog(':memory:')
  onTestFinished(() => catalog.close())
  const changes: string[] = []
  catalog.changes.subscribe(({ className, uuid, operation }) => {
    if (className === 'task') changes.push(`${operation} OpaqueRef:${uuid}`)
  })
  const { tasks } = catalog
  const begin = (): string => tasks.begin({ nameLabel: 'Export of x', userUuid: null })
  const listed = async (): Promise<string[]> =>
    (await tasks.list()).map(({ uuid }) => `OpaqueRef:${uuid}`)
  /** Lets the first second pass, and what it begins. */
  const grow = async (ref: string): Promise<void> => {
    await vi.advanceTimersByTimeAsync(1000)
    await vi.waitUntil(async () => (await listed()).includes(ref))
  }
  return { tasks, begin, listed, grow, changes }
}

describe('tasks of the server', () => {
  test('a young one can be looked at, and is neither listed nor told of', async () => {
    const { tasks, begin, listed, changes } = await createTest()
    const ref = begin()
    tasks.setProgress(ref, 0.5)
    expect(await tasks.get(ref)).toMatchObject({
      nameLabel: 'Export of x',
      status: 'pending',
      progress: 0.5,
      hasTransfer: true,
    })
    expect(await listed()).toEqual([])
    await tasks.succeed(ref, '')
    expect(await tasks.get(ref)).toBeUndefined()
    expect(changes).toEqual([])
  })

  test('one that lasts is listed, told of, and ends as others do', async () => {
    const { tasks, begin, grow, changes } = await createTest()
    const ref = begin()
    await grow(ref)
    expect(changes).toEqual([`add ${ref}`])
    await tasks.succeed(ref, '<value>x</value>')
    expect(await tasks.get(ref)).toMatchObject({ status: 'success', result: '<value>x</value>' })
    expect(changes).toEqual([`add ${ref}`, `mod ${ref}`])
  })

  test('a cancel that comes while its content is committed is too late, and changes nothing', async () => {
    const { tasks, begin, listed } = await createTest()
    const ref = begin()
    const told = await tasks.decide(ref, async (taskRef) => {
      await tasks.cancelling(ref)
      return taskRef
    })
    expect(told).toBeUndefined()
    expect((await tasks.get(ref))?.status).toBe('pending')
    await tasks.succeed(ref, '')
    expect(await listed()).toEqual([])
  })

  test('one whose commit failed can be cancelled again', async () => {
    const { tasks, begin } = await createTest()
    const ref = begin()
    const failing = tasks.decide(ref, () => Promise.reject(new Error('no commit')))
    await expect(failing).rejects.toThrow('no commit')
    await tasks.cancelling(ref)
    expect((await tasks.get(ref))?.status).toBe('cancelling')
  })

  test('one that is written down is ended by the commit itself', async () => {
    const { tasks, begin, grow } = await createTest()
    const ref = begin()
    await grow(ref)
    expect(await tasks.decide(ref, (taskRef) => Promise.resolve(taskRef))).toBe(ref)
  })

  test('a failure is kept, however young', async () => {
    const { tasks, begin, listed } = await createTest()
    const ref = begin()
    await tasks.fail(ref, new AppError('VDI_IO_ERROR', ['a bad sector']))
    expect(await tasks.get(ref)).toMatchObject({
      status: 'failure',
      errorInfo: ['VDI_IO_ERROR', 'a bad sector'],
    })
    expect(await listed()).toEqual([ref])
  })

  test('a cancel that was asked for is kept, a client that left is not', async () => {
    const { tasks, begin, listed } = await createTest()
    const [asked, left] = [begin(), begin()]
    await tasks.cancelling(asked)
    expect((await tasks.get(asked))?.status).toBe('cancelling')
    await tasks.cancel(asked)
    await tasks.cancel(left)
    expect(await listed()).toEqual([asked])
    expect((await tasks.get(asked))?.status).toBe('cancelled')
  })

  test('what is said while it is being written reaches it', async () => {
    const { tasks, begin } = await createTest()
    const ref = begin()
    await Promise.all([
      tasks.cancelling(ref),
      tasks.update(ref, () => ({ otherConfig: { a: 'b' } })),
    ])
    expect(await tasks.get(ref)).toMatchObject({ status: 'cancelling', otherConfig: { a: 'b' } })
    const ended = begin()
    const kept = tasks.update(ended, () => ({}))
    await tasks.succeed(ended, '')
    await kept
    expect((await tasks.get(ended))?.status).toBe('success')
  })

  test('one that is destroyed is gone', async () => {
    const { tasks, begin } = await createTest()
    const ref = begin()
    await tasks.destroy(ref)
    expect(await tasks.get(ref)).toBeUndefined()
    await tasks.succeed(ref, '')
    expect(await tasks.get(ref)).toBeUndefined()
  })
})
