// The disk in a dynamic or differencing file: blocks by the table, sectors by the bitmaps. Memory is
// the table and a bounded number of bitmaps.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin, throwIfAborted } from '../../disk/disk.ts'
import type { ByteRange, Extent, ExtentKind } from '../../disk/extents.ts'
import { clip, coalesce } from '../../disk/extents.ts'
import { settleAll } from '../../disk/settle.ts'
import type { Image } from '../../image/image.ts'
import { SECTOR_SIZE } from '../../units.ts'
import { createBitmapCache } from './bitmap-cache.ts'
import type { BlockLayout } from './block-table.ts'
import { offsetOf } from './block-table.ts'
import { UNUSED_ENTRY } from './constants.ts'
import { bitRuns, sectorsInside } from './sector-bitmap.ts'

interface DynamicDiskParts {
  readonly image: Image
  /** Virtual size in bytes. */
  readonly size: number
  /** One for each block of the disk. */
  readonly entries: Uint32Array
  readonly layout: BlockLayout
  /** Bits of the blocks whose sectors are all written; may be too short, or empty. */
  readonly batmap: Uint8Array
  /** What a sector is whose bit is clear. */
  readonly unwritten: 'zero' | 'hole'
}

/** How many bitmaps are read at once for extents. */
const bitmapsAhead = 32

/** The metadata must have been checked. The disk owns and closes `image`. */
export const createDynamicDisk = (parts: DynamicDiskParts): Disk => {
  const { image, size, entries, layout, unwritten } = parts
  const { blockSize, bitmapSize } = layout
  const bitmaps = createBitmapCache(parts)

  type BlockState = 'hole' | 'data' | 'mixed'
  const stateOf = (block: number): BlockState => {
    if (entries[block] === UNUSED_ENTRY) return 'hole'
    return bitmaps.isKnownFull(block) ? 'data' : 'mixed'
  }
  /** The first block from `block` on whose state differs, at most `limit`. */
  const endOfState = (block: number, limit: number): number => {
    const state = stateOf(block)
    let end = block + 1
    while (end < limit && stateOf(end) === state) end += 1
    return end
  }

  /** In whole blocks, each stretch of blocks of one state at once; neighbours may be of one kind. */
  async function* blockExtents({ offset, length }: ByteRange): AsyncGenerator<Extent> {
    const limit = Math.ceil((offset + length) / blockSize)
    for (let block = Math.floor(offset / blockSize); block < limit;) {
      const state = stateOf(block)
      const start = block * blockSize
      if (state === 'mixed') {
        const end = endOfState(block, Math.min(limit, block + bitmapsAhead))
        yield* mixedExtents(block, end)
        block = end
        continue
      }
      const end = endOfState(block, limit)
      yield { offset: start, length: Math.min(end * blockSize, size) - start, kind: state }
      block = end
    }
  }

  /** What the bitmaps of the blocks `from` up to (not including) `to` say. */
  async function* mixedExtents(from: number, to: number): AsyncGenerator<Extent> {
    const wanted = Array.from({ length: to - from }, (_, index) => bitmaps.get(from + index))
    for (const [index, bitmap] of (await Promise.all(wanted)).entries()) {
      const start = (from + index) * blockSize
      for (const run of bitRuns(bitmap, 0, sectorsInside(from + index, blockSize, size))) {
        const kind: ExtentKind = run.isSet ? 'data' : unwritten
        const length = (run.to - run.from) * SECTOR_SIZE
        yield { offset: start + run.from * SECTOR_SIZE, length, kind }
      }
    }
  }

  /** Fills `target` from inside one block. */
  const readBlock = async (
    offset: number,
    target: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    const block = Math.floor(offset / blockSize)
    const state = stateOf(block)
    if (state === 'hole') {
      target.fill(0)
      return
    }
    const inside = offset - block * blockSize
    const dataOffset = offsetOf(entries, block) + bitmapSize + inside
    if (state === 'data') {
      await image.read(dataOffset, target, signal)
      return
    }
    const bitmap = await bitmaps.get(block)
    const from = Math.floor(inside / SECTOR_SIZE)
    const to = Math.ceil((inside + target.length) / SECTOR_SIZE)
    const runs = [...bitRuns(bitmap, from, to)]
    // One read for all that is written; what lies between, stale or not, is then cleared.
    const first = runs.find((run) => run.isSet)
    const last = runs.findLast((run) => run.isSet)
    if (first !== undefined && last !== undefined) {
      const start = Math.max(0, first.from * SECTOR_SIZE - inside)
      const end = Math.min(target.length, last.to * SECTOR_SIZE - inside)
      await image.read(dataOffset + start, target.subarray(start, end), signal)
    }
    for (const run of runs) {
      if (run.isSet) continue
      target.fill(0, Math.max(0, run.from * SECTOR_SIZE - inside), run.to * SECTOR_SIZE - inside)
    }
  }

  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      for await (const extent of coalesce(blockExtents(asked))) {
        const part = clip(extent, asked)
        if (part !== undefined) yield part
      }
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      const steps: Promise<void>[] = []
      for (let done = 0; done < target.length;) {
        const left = blockSize - ((offset + done) % blockSize)
        const part = target.subarray(done, done + left)
        steps.push(readBlock(offset + done, part, signal))
        done += part.length
      }
      await (steps.length === 1 ? steps[0] : settleAll(steps))
    },
    close: () => image.close(),
  }
}
