// The blocks of a planned image that hold data, ascending and whole: the region after the tables.

import type { Disk } from '../disk/disk.ts'
import type { UnitRuns } from '../disk/unit-runs.ts'
import type { Region } from '../image/layout-image.ts'

/**
 * Reads `disk` when it is read; what lies after the disk's end is zeros.
 * @param runs of the blocks of `blockSize` bytes that are in the image
 */
export const blocksRegion = (disk: Disk, runs: UnitRuns, blockSize: number): Region => ({
  length: runs.count * blockSize,
  async fill(offset, target, signal) {
    for (let done = 0; done < target.length;) {
      const rank = Math.floor((offset + done) / blockSize)
      const run = runs.runAt(rank)
      const inside = offset + done - rank * blockSize
      const part = target.subarray(done, done + run.length * blockSize - inside)
      const diskOffset = run.unit * blockSize + inside
      const held = Math.max(0, Math.min(part.length, disk.size - diskOffset))
      part.fill(0, held)
      if (held > 0) await disk.read(diskOffset, part.subarray(0, held), signal)
      done += part.length
    }
  },
})
