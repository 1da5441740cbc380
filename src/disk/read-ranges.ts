// Reads of several stretches of a disk at once, for plans that send stretches one directly after
// the other: a disk that can then needs few reads of its file.

import type { Disk } from './disk.ts'
import { rangeWithin } from './disk.ts'
import type { ByteRange } from './extents.ts'

/** As Disk.readRanges, for any disk: one that has no such method is read range by range. */
export const readRanges = async (
  disk: Disk,
  ranges: readonly ByteRange[],
  target: Uint8Array,
  signal?: AbortSignal,
): Promise<void> => {
  const [only] = ranges
  if (ranges.length === 1 && only?.length === target.length) {
    await disk.read(only.offset, target, signal)
    return
  }
  if (disk.readRanges !== undefined) {
    await disk.readRanges(ranges, target, signal)
    return
  }
  requireRanges(disk.size, ranges, target.length)
  let done = 0
  for (const { offset, length } of ranges) {
    await disk.read(offset, target.subarray(done, done + length), signal)
    done += length
  }
}

/** @throws RangeError where a range leaves the disk, or they do not fill `targetLength` bytes */
export const requireRanges = (
  size: number,
  ranges: readonly ByteRange[],
  targetLength: number,
): void => {
  let length = 0
  for (const range of ranges) length += rangeWithin(size, range).length
  if (length === targetLength) return
  throw new RangeError(`Ranges of ${length} bytes do not fill ${targetLength}`)
}
