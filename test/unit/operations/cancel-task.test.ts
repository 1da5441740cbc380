// Tasks that are told to stop: with a transfer, with merging, with what cannot be stopped, and with
// nothing.

import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { cancelTask } from '../../../src/operations/cancel-task.ts'
import { createTestContent } from '../../support/content.ts'

const start = async () => {
  const on = await createTestContent()
  const ref = await on.catalog.tasks.create({ nameLabel: 'work', userUuid: null })
  const status = async () => (await on.catalog.tasks.get(ref))?.status
  return { ...on, ref, status }
}

test('a task that nobody has taken ends at once', async () => {
  const { context, ref, status } = await start()
  await cancelTask(context, ref)
  expect(await status()).toBe('cancelled')
  await cancelTask(context, ref)
  expect(await status()).toBe('cancelled')
})

test('a transfer is stopped, and finds its task told to stop', async () => {
  const { context, catalog, ref, status } = await start()
  await catalog.tasks.take(ref)
  let found: Promise<string | undefined> | undefined
  const transfer = context.transfers.run({ ref }, ({ signal }) => {
    signal.addEventListener('abort', () => void (found = status()))
    return new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
  })
  const cancelling = cancelTask(context, ref)
  await expect(transfer).rejects.toMatchObject({ code: 'TASK_CANCELLED', params: [ref] })
  await cancelling
  expect(await found).toBe('cancelling')
})

test('merging is stopped by its task', async () => {
  const { context, catalog, ref, status } = await start()
  await catalog.tasks.take(ref)
  const asked: string[] = []
  const cancel = (taskRef: string): boolean => asked.push(taskRef) > 0
  const { storage } = context
  const upkeep = { ...storage.upkeep, cancel }
  await cancelTask({ ...context, storage: { ...storage, upkeep } }, ref)
  expect(asked).toEqual([ref])
  expect(await status()).toBe('cancelling')
})

test('what runs and cannot be stopped ends its task itself', async () => {
  const { context, catalog, ref, status } = await start()
  await catalog.tasks.take(ref)
  await cancelTask(context, ref)
  expect(await status()).toBe('cancelling')
})

test('a task that has ended keeps its outcome; an unknown one is passed over', async () => {
  const { context, catalog, ref, status } = await start()
  await catalog.tasks.succeed(ref, '')
  await cancelTask(context, ref)
  expect(await status()).toBe('success')
  await cancelTask(context, `OpaqueRef:${randomUUID()}`)
})
