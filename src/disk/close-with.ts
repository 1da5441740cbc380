// A disk whose end is the end of something else too, such as a hold on its layers.

import type { Disk } from './disk.ts'
import { readRanges } from './read-ranges.ts'

/** `disk`, whose close calls `release` too. */
export const closeWith = (disk: Disk, release: () => void): Disk => ({
  size: disk.size,
  extents: (range) => disk.extents(range),
  read: (offset, target, signal) => disk.read(offset, target, signal),
  readRanges: (ranges, target, signal) => readRanges(disk, ranges, target, signal),
  async close() {
    try {
      await disk.close()
    } finally {
      release()
    }
  },
})
