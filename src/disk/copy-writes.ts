// The last hop of every import: takes a decoder's writes to a DiskWriter, a bounded number of bytes
// at a time, and keeps runs of zeros out of the storage. Never looks at formats or files.

import { MiB } from '../units.ts'
import type { DiskWrite, DiskWriter } from './disk.ts'
import { throwIfAborted } from './disk.ts'
import { skipZeros } from './skip-zeros.ts'

/** How many bytes may be on their way to the storage at once. */
const windowSize = 4 * MiB

/** How many writes may be on their way at once, however small. */
const windowCount = 64

interface CopyOptions {
  signal?: AbortSignal
  /** Called after each step with the guest bytes it covered. */
  onProgress?: (bytes: number) => void
}

/**
 * Applies all of `writes` to `writer`. Returns when the last one has been taken, throws the first
 * failure after those under way have ended, so that the writer's file may be closed either way.
 */
export const copyWrites = async (
  writes: AsyncIterable<DiskWrite>,
  writer: DiskWriter,
  { signal, onProgress }: CopyOptions = {},
): Promise<void> => {
  const storing = skipZeros(writer)
  const flight = createFlight(windowSize, windowCount)
  try {
    for await (const write of writes) {
      throwIfAborted(signal)
      if (write.kind === 'zero') {
        await flight.add(0, storing.zero(write.offset, write.length, signal))
        onProgress?.(write.length)
        continue
      }
      const { offset, bytes, release } = write
      const stored = storing.write(offset, bytes, signal).finally(() => release?.())
      await flight.add(bytes.length, stored)
      onProgress?.(bytes.length)
    }
  } finally {
    await flight.settled()
  }
  flight.throwIfFailed()
}

/** A bounded set of promises; `add` waits until there is room and throws the first failure. */
const createFlight = (maximumBytes: number, maximumCount: number) => {
  const running = new Set<Promise<void>>()
  let bytes = 0
  let failure: { reason: unknown } | undefined

  const throwIfFailed = (): void => {
    if (failure !== undefined) throw failure.reason
  }
  return {
    throwIfFailed,
    async add(length: number, step: Promise<void>): Promise<void> {
      bytes += length
      const tracked: Promise<void> = step.then(
        () => {
          running.delete(tracked)
          bytes -= length
        },
        (reason: unknown) => {
          running.delete(tracked)
          bytes -= length
          failure ??= { reason }
        },
      )
      running.add(tracked)
      while (running.size > 0 && (bytes >= maximumBytes || running.size >= maximumCount)) {
        await Promise.race(running)
      }
      throwIfFailed()
    },
    async settled(): Promise<void> {
      await Promise.all(running)
    },
  }
}
