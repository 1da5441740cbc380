// Buffers of one size that are used again and again: the bound on an import's memory.

import { throwIfAborted } from '../disk/disk.ts'

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
}

/** At most `count` buffers of `bufferSize` bytes, made when first needed. */
export const createBufferPool = (count: number, bufferSize: number): BufferPool => {
  const free: Uint8Array[] = []
  const waiting: (() => void)[] = []
  let made = 0

  const lend = (bytes: Uint8Array): PooledBuffer => {
    let lent = true
    const release = (): void => {
      if (!lent) return
      lent = false
      free.push(bytes)
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
        const bytes = free.pop()
        if (bytes !== undefined) return lend(bytes)
        if (made < count) {
          made += 1
          return lend(Buffer.allocUnsafeSlow(bufferSize))
        }
        await turn(signal)
      }
    },
  }
}
