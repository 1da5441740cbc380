// The last hop of every import: takes a decoder's writes to a DiskWriter, a bounded number of bytes
// at a time, and keeps runs of zeros out of the storage. Never looks at formats or files.

import { alignDown, KiB, MiB } from '../units.ts'
import type { DiskWrite, DiskWriter } from './disk.ts'
import { throwIfAborted } from './disk.ts'
import { settleAll } from './settle.ts'
import { isZero } from './zero.ts'

/** Zeros are found in aligned blocks of this size: the cluster of layers at rest. */
const zeroBlockSize = 64 * KiB

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
  const flight = createFlight(windowSize, windowCount)
  try {
    for await (const write of writes) {
      throwIfAborted(signal)
      if (write.kind === 'zero') {
        await flight.add(0, writer.zero(write.offset, write.length, signal))
        onProgress?.(write.length)
        continue
      }
      const { offset, bytes, release } = write
      const stored = storeWithoutZeros(writer, offset, bytes, signal).finally(() => release?.())
      await flight.add(bytes.length, stored)
      onProgress?.(bytes.length)
    }
  } finally {
    await flight.settled()
  }
  flight.throwIfFailed()
}

/** Writes the stretches of `bytes` between aligned blocks of zeros, and zeroes those blocks. */
const storeWithoutZeros = async (
  writer: DiskWriter,
  offset: number,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const steps: Promise<void>[] = []
  let start = 0
  let startIsZero = false
  const flush = (end: number): void => {
    if (end === start) return
    steps.push(
      startIsZero
        ? writer.zero(offset + start, end - start, signal)
        : writer.write(offset + start, bytes.subarray(start, end), signal),
    )
    start = end
  }
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(
      bytes.length,
      alignDown(offset + at, zeroBlockSize) + zeroBlockSize - offset,
    )
    const zero = isZero(bytes.subarray(at, end))
    if (zero !== startIsZero) flush(at)
    startIsZero = zero
    at = end
  }
  flush(bytes.length)
  await settleAll(steps)
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
