// A disk with room after its end that was never written, for places that take whole units only.

import type { Disk } from './disk.ts'
import { rangeWithin, throwIfAborted } from './disk.ts'
import type { ByteRange, Extent } from './extents.ts'
import { clip, coalesce } from './extents.ts'

/**
 * `disk` itself where it has `size` bytes. Owns and closes it.
 * @param size in bytes, no less than the disk has
 */
export const createPaddedDisk = (disk: Disk, size: number): Disk => {
  if (size === disk.size) return disk
  const held = disk.size

  async function* partsOf(range: ByteRange): AsyncGenerator<Extent, void, undefined> {
    const before = clip(range, { offset: 0, length: held })
    if (before !== undefined) yield* disk.extents(before)
    const after = clip(range, { offset: held, length: size - held })
    if (after !== undefined) yield { ...after, kind: 'hole' }
  }

  return {
    size,
    async *extents(range) {
      yield* coalesce(partsOf(rangeWithin(size, range)))
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      const count = Math.max(0, Math.min(target.length, held - offset))
      if (count > 0) await disk.read(offset, target.subarray(0, count), signal)
      target.fill(0, count)
    },
    close: () => disk.close(),
  }
}
