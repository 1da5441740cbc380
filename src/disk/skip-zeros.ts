// A writer that stores no zeros: imports and copies put it before a layer. Aligned blocks of zeros
// are zeroed instead of written, and so take no room.

import { alignDown, KiB } from '../units.ts'
import type { DiskWriter } from './disk.ts'
import { settleAll } from './settle.ts'
import { isZero } from './zero.ts'

/** Zeros are found in aligned blocks of this size: the cluster of layers at rest. */
const zeroBlockSize = 64 * KiB

/**
 * `writer`, but that a write zeroes the aligned blocks of zeros in it and stores what lies between
 * them.
 */
export const skipZeros = (writer: DiskWriter): DiskWriter => ({
  size: writer.size,
  zero: (offset, length, signal) => writer.zero(offset, length, signal),
  async write(offset, source, signal) {
    const steps: Promise<void>[] = []
    let start = 0
    let startIsZero = false
    const flush = (end: number): void => {
      if (end === start) return
      steps.push(
        startIsZero
          ? writer.zero(offset + start, end - start, signal)
          : writer.write(offset + start, source.subarray(start, end), signal),
      )
      start = end
    }
    for (let at = 0; at < source.length;) {
      const end = Math.min(
        source.length,
        alignDown(offset + at, zeroBlockSize) + zeroBlockSize - offset,
      )
      const zero = isZero(source.subarray(at, end))
      if (zero !== startIsZero) flush(at)
      startIsZero = zero
      at = end
    }
    flush(source.length)
    await settleAll(steps)
  },
})
