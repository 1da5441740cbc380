// Buffers of one size that are used again and again: the bound on a transfer's memory. What a transfer
// leaves goes to the next one: as garbage it would pile up, for its bytes lie outside the heap that
// makes the collector run.

import { throwIfAborted } from '../disk/disk.ts'
import { MiB } from '../units.ts'

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

/** Bytes of buffers kept for transfers to come. */
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

/** At most `count` buffers of `bufferSize` bytes, found when first needed. */
export const createBufferPool = (count: number, bufferSize: number): BufferPool => {
  const free: Uint8Array[] = []
  const waiting: (() => void)[] = []
  let made = 0
  let isClosed = false

  const lend = (bytes: Uint8Array): PooledBuffer => {
    let lent = true
    const release = (): void => {
      if (!lent) return
      lent = false
      if (isClosed) toReserve(bytes)
      else free.push(bytes)
      waiting.shift()?.()
    }
    return { bytes, release }
  }

  /** Waits for a buffer to come back, or for the abort; a waiter that has gone wakes nobody's turn. */
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
    bufferSize,
    async take(signal) {
      for (;;) {
        throwIfAborted(signal)
        if (isClosed) throw new Error('The buffer pool is closed')
        const bytes = free.pop()
        if (bytes !== undefined) return lend(bytes)
        if (made < count) {
          made += 1
          return lend(fromReserve(bufferSize) ?? Buffer.allocUnsafeSlow(bufferSize))
        }
        await turn(signal)
      }
    },
    close() {
      isClosed = true
      for (const bytes of free.splice(0)) toReserve(bytes)
    },
  }
}
