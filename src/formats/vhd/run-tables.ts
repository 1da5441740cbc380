// Table and batmap of an export, worked out for any stretch of them from the runs of present
// blocks: neither is ever held as a whole.

import type { UnitRuns } from '../../disk/unit-runs.ts'
import { viewOf } from '../../image/binary.ts'
import type { Region } from '../../image/layout-image.ts'
import { SECTOR_SIZE } from '../../units.ts'
import { bitWeight, markableBlocks } from './batmap.ts'
import { blockLayoutOf } from './block-table.ts'
import { BLOCK_SIZE } from './constants.ts'
import { fillBits } from './sector-bitmap.ts'

const blockSectors = blockLayoutOf(BLOCK_SIZE).storedSize / SECTOR_SIZE

interface TablePlace {
  /** Bytes of the table, its padding included. */
  readonly length: number
  /** Where the block of rank 0 begins. */
  readonly firstBlock: number
}

/** Entries of absent blocks, and the padding, are all ones. */
export const tableRegion = (runs: UnitRuns, { length, firstBlock }: TablePlace): Region => {
  const firstSector = firstBlock / SECTOR_SIZE
  return {
    length,
    fill(offset, target) {
      const from = Math.floor(offset / 4)
      const to = Math.ceil((offset + target.length) / 4)
      const entries = new Uint8Array((to - from) * 4).fill(0xff)
      const view = viewOf(entries)
      for (const run of runs.between(from, to)) {
        for (let index = 0; index < run.length; index += 1) {
          const sector = firstSector + (run.rank + index) * blockSectors
          view.setUint32((run.unit + index - from) * 4, sector)
        }
      }
      target.set(entries.subarray(offset - from * 4).subarray(0, target.length))
    },
  }
}

interface BatmapBits {
  /** Bytes of the bits, their padding included. */
  readonly length: number
  readonly virtualSize: number
}

/** A bit for each present block: those that lie wholly on the disk are full. */
export const batmapRegion = (runs: UnitRuns, { length, virtualSize }: BatmapBits): Region => ({
  length,
  fill(offset, target) {
    target.fill(0)
    const first = offset * 8
    const end = Math.min(first + target.length * 8, markableBlocks(virtualSize))
    for (const { unit, length } of runs.between(first, end)) {
      fillBits(target, { from: unit - first, to: unit + length - first, isSet: true })
    }
  },
})

/** What the bytes of the batmap's bits add up to. */
export const batmapSum = (runs: UnitRuns, virtualSize: number): number => {
  let sum = 0
  for (const run of runs.between(0, markableBlocks(virtualSize))) {
    const end = run.unit + run.length
    for (let block = run.unit; block < end;) {
      // Whole bytes of eight blocks at once.
      const wholeBytes = block % 8 === 0 ? Math.floor((end - block) / 8) : 0
      sum += wholeBytes > 0 ? wholeBytes * 0xff : bitWeight(block)
      block += wholeBytes > 0 ? wholeBytes * 8 : 1
    }
  }
  return sum
}
