// Buffers that are used again and again: the bound on a transfer's memory. What one transfer is not
// using is there for the others: as garbage it would pile up, for its bytes lie outside the heap
// that makes the collector run.

import { throwIfAborted } from '../disk/disk.ts'
import { KiB, MiB } from '../units.ts'

export interface PooledBuffer {
  readonly bytes: Uint8Array
  /** Gives the buffer back; its bytes may change from then on. Idempotent. */
  readonly release: () => void
}

export interface BufferPool {
  /** Bytes in each buffer. */
  readonly bufferSize: number
  /** Waits until a buffer is free. Its content is undefined. */
  take(signal?: AbortSignal): Promise<PooledBuffer>
  /** Nothing is taken any more; buffers that are still lent may come back later. Idempotent. */
  close(): void
}

/** Buffers whose size follows the client's pace. */
export interface PacedPool extends Omit<BufferPool, 'bufferSize'> {
  /** A buffer where one is free now. */
  tryTake(): PooledBuffer | undefined
}

/** Bytes of buffers kept for whoever needs them next. */
const reserveLimit = 16 * MiB

/** By size. */
const reserve = new Map<number, Uint8Array[]>()
let reserved = 0

const fromReserve = (size: number): Uint8Array | undefined => {
  const bytes = reserve.get(size)?.pop()
  if (bytes !== undefined) reserved -= size
  return bytes
}

const toReserve = (bytes: Uint8Array): void => {
  if (reserved + bytes.length > reserveLimit) return
  const sameSize = reserve.get(bytes.length)
  if (sameSize === undefined) reserve.set(bytes.length, [bytes])
  else sameSize.push(bytes)
  reserved += bytes.length
}

/** How large the next buffer is, and how many may be lent at once. */
interface Measure {
  readonly size: number
  readonly count: number
}

/**
 * @param onLend called with the size of a buffer that is lent, and with the negative size when it
 *   comes back
 */
const createPool = (
  measure: () => Measure,
  onLend: (size: number) => void = () => {},
): PacedPool => {
  const waiting: (() => void)[] = []
  const lent = new Set<Uint8Array>()
  let isClosed = false

  const lend = (size: number): PooledBuffer => {
    const bytes = fromReserve(size) ?? Buffer.allocUnsafeSlow(size)
    lent.add(bytes)
    onLend(size)
    let isLent = true
    const release = (): void => {
      if (!isLent) return
      isLent = false
      if (lent.delete(bytes)) onLend(-size)
      toReserve(bytes)
      waiting.shift()?.()
    }
    return { bytes, release }
  }
  const tryTake = (): PooledBuffer | undefined => {
    if (isClosed) throw new Error('The buffer pool is closed')
    const { size, count } = measure()
    return lent.size < count ? lend(size) : undefined
  }

  /**
   * Waits for a buffer to come back, or for the abort; a waiter that has gone wakes nobody's turn.
   */
  const turn = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
      const abort = (): void => {
        waiting.splice(waiting.indexOf(wake), 1)
        resolve()
      }
      waiting.push(wake)
      signal?.addEventListener('abort', abort, { once: true })
    })

  return {
    tryTake,
    async take(signal) {
      for (;;) {
        throwIfAborted(signal)
        const buffer = tryTake()
        if (buffer !== undefined) return buffer
        await turn(signal)
      }
    },
    close() {
      isClosed = true
      // What a transfer that broke never gives back must not count for ever.
      for (const { length } of lent) onLend(-length)
      lent.clear()
    },
  }
}

/** At most `count` buffers of `bufferSize` bytes, found when they are needed. */
export const createBufferPool = (count: number, bufferSize: number): BufferPool => {
  const pool = createPool(() => ({ size: bufferSize, count }))
  return { bufferSize, take: (signal) => pool.take(signal), close: () => pool.close() }
}

/** What a client that takes little holds at most, and one that takes as fast as it is given. */
const slow: Measure = { size: 128 * KiB, count: 3 }
const fast: Measure = { size: MiB, count: 4 }

/**
 * Bytes of large buffers that all fast clients may hold together; who comes after that is given
 * small ones.
 */
const largeLimit = 64 * MiB
let largeLent = 0

/**
 * A client is fast that takes this much, more than a socket holds, and is waited for no longer than
 * that, in milliseconds.
 */
const trialSize = 8 * MiB
const trialTime = 250

/**
 * Small buffers at first and for slow clients, large ones for those that take quickly.
 * @param waitedFor how long the client has been waited for in all, in milliseconds
 */
export const createPacedPool = (waitedFor: () => number): PacedPool => {
  let pace = slow
  let taken = 0
  let mark = waitedFor()
  const startTrial = (next: Measure): void => {
    pace = next
    taken = 0
    mark = waitedFor()
  }
  const measure = (): Measure => {
    if (waitedFor() - mark > trialTime) startTrial(slow)
    else if (taken >= trialSize) startTrial(fast)
    return pace === fast && largeLent < largeLimit ? fast : slow
  }
  return createPool(measure, (size) => {
    if (Math.abs(size) === fast.size) largeLent += size
    if (size > 0) taken += size
  })
}
