// Where in the file the blocks of an archive at rest lie: as runs of blocks that follow each other
// on the disk and, at the same distance, in the file.

import { HEADER_LENGTH } from './header.ts'

interface BlockRun {
  /** Of the first block, in bytes. */
  readonly diskOffset: number
  /** Of the first block's content. */
  readonly imageOffset: number
  /** How many blocks come before. */
  readonly rank: number
  count: number
}

interface IndexedBlock {
  readonly diskOffset: number
  readonly imageOffset: number
  /** How many blocks come before it. */
  readonly rank: number
}

export interface BlockIndex {
  /** How many blocks there are. */
  readonly count: number
  /** The block that begins at this offset of the disk; undefined where there is none. */
  find(diskOffset: number): IndexedBlock | undefined
  /** Stretches of the disk that begin at or after the block before `from`, ascending. */
  runsFrom(from: number): Iterable<{ readonly offset: number; readonly length: number }>
}

/** How far a block is from the next: three headers' lengths hold the checksum and both headers. */
const distanceOf = (blockSize: number): number => blockSize + 3 * HEADER_LENGTH

/** Adds blocks in ascending order. The last may be shorter than all others. */
export const createBlockIndex = () => {
  const runs: BlockRun[] = []
  let blockSize = 0
  let count = 0

  /** The last run that begins at or before `diskOffset`; -1 where none does. */
  const lastRunAt = (diskOffset: number): number => {
    let low = 0
    let high = runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (runs[middle]!.diskOffset <= diskOffset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  return {
    add(diskOffset: number, imageOffset: number, length: number): void {
      const last = runs.at(-1)
      if (last === undefined) blockSize = length
      const distance = distanceOf(blockSize)
      const follows =
        last !== undefined &&
        diskOffset === last.diskOffset + last.count * blockSize &&
        imageOffset === last.imageOffset + last.count * distance
      if (follows) last.count += 1
      else runs.push({ diskOffset, imageOffset, rank: count, count: 1 })
      count += 1
    },
    /** @param size of the disk: where the last block ends */
    finish: (size: number): BlockIndex => ({
      count,
      find(diskOffset) {
        const run = runs[lastRunAt(diskOffset)]
        if (run === undefined) return undefined
        const inside = (diskOffset - run.diskOffset) / blockSize
        if (inside >= run.count) return undefined
        const imageOffset = run.imageOffset + inside * distanceOf(blockSize)
        return { diskOffset, imageOffset, rank: run.rank + inside }
      },
      *runsFrom(from) {
        for (let index = Math.max(0, lastRunAt(from)); index < runs.length; index += 1) {
          const { diskOffset, count } = runs[index]!
          const end = Math.min(size, diskOffset + count * blockSize)
          yield { offset: diskOffset, length: end - diskOffset }
        }
      },
    }),
  }
}
