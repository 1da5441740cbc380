import { expect, test } from 'vitest'
import type { PacedPool, PooledBuffer } from '../../../src/image/buffer-pool.ts'
import { createBufferPool, createPacedPool } from '../../../src/image/buffer-pool.ts'
import { KiB, MiB } from '../../../src/units.ts'

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

/** Takes and gives back `bytes` as a client does that never has to be waited for. */
const pass = (pool: PacedPool, bytes: number): void => {
  for (let passed = 0; passed < bytes;) {
    const lent = pool.tryTake()!
    passed += lent.bytes.length
    lent.release()
  }
}

/** All that can be had at once. */
const takeAll = (pool: PacedPool): PooledBuffer[] => {
  const taken: PooledBuffer[] = []
  for (let next = pool.tryTake(); next !== undefined; next = pool.tryTake()) taken.push(next)
  return taken
}

const sizesOf = (buffers: readonly PooledBuffer[]): number[] =>
  buffers.map(({ bytes }) => bytes.length)

test('a client begins with little, is given more once it has taken much quickly, and less once it is slow', () => {
  let waited = 0
  const pool = createPacedPool(() => waited)
  const first = takeAll(pool)
  expect(sizesOf(first)).toEqual([128 * KiB, 128 * KiB, 128 * KiB])
  for (const { release } of first) release()
  waited += 200
  pass(pool, 8 * MiB)
  const large = takeAll(pool)
  expect(sizesOf(large)).toEqual([MiB, MiB, MiB, MiB])
  for (const { release } of large) release()
  waited += 251
  expect(sizesOf(takeAll(pool))).toEqual([128 * KiB, 128 * KiB, 128 * KiB])
  pool.close()
})

test('fast clients share 64 MiB: more of them, or stalled ones, do not make it more', () => {
  const pools = Array.from({ length: 20 }, () => createPacedPool(() => 0))
  const held = pools.map((pool) => {
    pass(pool, 8 * MiB)
    return takeAll(pool)
  })
  const large = held.flat().filter(({ bytes }) => bytes.length === MiB)
  expect(large).toHaveLength(64)
  expect(sizesOf(held.at(-1)!)).toEqual([128 * KiB, 128 * KiB, 128 * KiB])
  // What a broken transfer never gives back is not counted for ever, and what comes back later not
  // twice.
  for (const pool of pools) pool.close()
  for (const { release } of held.flat()) release()
  const next = createPacedPool(() => 0)
  pass(next, 8 * MiB)
  expect(sizesOf(takeAll(next))).toEqual([MiB, MiB, MiB, MiB])
  next.close()
})
