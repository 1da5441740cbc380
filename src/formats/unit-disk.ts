// A disk whose bytes lie in units of one size (blocks, grains) anywhere in an image: ranges are cut
// into units here, and put together again.

import type { Disk } from '../disk/disk.ts'
import { rangeWithin, throwIfAborted } from '../disk/disk.ts'
import type { Extent } from '../disk/extents.ts'
import { clip, coalesce } from '../disk/extents.ts'

interface UnitDiskParts {
  /** Of the disk and of a unit, in bytes. */
  readonly size: number
  readonly unitSize: number
  /**
   * The extents of the units `from` up to (not including) `to`, ascending and gap-free, none after
   * the end of the disk.
   */
  extentsBetween(from: number, to: number): Iterable<Extent> | AsyncIterable<Extent>
  /**
   * Fills the beginning of `target` with what is `inside` bytes into a unit, to its end or further.
   * @returns how many bytes, at least one
   */
  readFrom(
    unit: number,
    inside: number,
    target: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<number>
  close(): Promise<void>
}

export const createUnitDisk = (parts: UnitDiskParts): Disk => {
  const { size, unitSize } = parts
  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      if (asked.length === 0) return
      const from = Math.floor(asked.offset / unitSize)
      const to = Math.ceil((asked.offset + asked.length) / unitSize)
      for await (const extent of coalesce(parts.extentsBetween(from, to))) {
        const part = clip(extent, asked)
        if (part !== undefined) yield part
      }
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      for (let done = 0; done < target.length;) {
        const unit = Math.floor((offset + done) / unitSize)
        const inside = offset + done - unit * unitSize
        done += await parts.readFrom(unit, inside, target.subarray(done), signal)
      }
    },
    close: () => parts.close(),
  }
}
