import { expect, test } from 'vitest'
import { createBufferPool } from '../../../src/image/buffer-pool.ts'

test('a pool makes no more buffers than it may, and waits for one to come back', async () => {
  const pool = createBufferPool(2, 512)
  const first = await pool.take()
  const second = await pool.take()
  expect(first.bytes.buffer).not.toBe(second.bytes.buffer)
  const third = pool.take()
  const fourth = pool.take()
  first.release()
  expect((await third).bytes).toBe(first.bytes)
  second.release()
  expect((await fourth).bytes).toBe(second.bytes)
})

test('a buffer given back twice is lent once', async () => {
  const pool = createBufferPool(1, 512)
  const lent = await pool.take()
  lent.release()
  lent.release()
  const again = await pool.take()
  const abort = new AbortController()
  const waiting = pool.take(abort.signal)
  abort.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  again.release()
  expect((await pool.take()).bytes).toBe(lent.bytes)
})

test('a waiter that was aborted does not swallow the buffer of the next', async () => {
  const pool = createBufferPool(1, 512)
  const lent = await pool.take()
  const abort = new AbortController()
  const aborted = pool.take(abort.signal)
  const patient = pool.take()
  abort.abort()
  await expect(aborted).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  lent.release()
  expect((await patient).bytes).toBe(lent.bytes)
})

test('what a closed pool leaves goes to the next one of the same size, as soon as it is back', async () => {
  const size = 768
  const pool = createBufferPool(2, size)
  const first = await pool.take()
  const second = await pool.take()
  first.release()
  pool.close()
  await expect(pool.take()).rejects.toThrow('The buffer pool is closed')
  const other = createBufferPool(3, size * 2)
  expect((await other.take()).bytes.length).toBe(size * 2)
  const next = createBufferPool(3, size)
  expect((await next.take()).bytes).toBe(first.bytes)
  expect((await next.take()).bytes).not.toBe(second.bytes)
  second.release()
  expect((await next.take()).bytes).toBe(second.bytes)
})
