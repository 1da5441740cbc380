// What lies where on the disk of a dynamic or differencing file. Bitmaps are read only of the
// blocks that no batmap answers for, several at once.

import type { ByteRange, Extent } from '../../disk/extents.ts'
import type { Image } from '../../image/image.ts'
import { SECTOR_SIZE } from '../../units.ts'
import type { BitmapCache } from './bitmap-cache.ts'
import type { BlockLayout } from './block-table.ts'
import { offsetOf } from './block-table.ts'
import { bitRuns, sectorsInside } from './sector-bitmap.ts'
import type { StoredRuns } from './stored-runs.ts'
import { createStoredRuns } from './stored-runs.ts'

export interface DynamicDiskParts {
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

const bitmapsAtOnce = 32

/** How many extents come at once, at most. */
const batchLength = 4096

/** Extents that come at once. */
type Batch = readonly Extent[]

/**
 * The extents of all blocks that meet `range`, many at once: ascending and gap-free, but not
 * clipped to it, and neighbours may be of one kind. Blocks alike are one extent, so that a walk
 * over a large disk waits for nothing at most of its blocks.
 */
export async function* blockExtents(
  parts: DynamicDiskParts,
  bitmaps: BitmapCache,
  { offset, length }: ByteRange,
): AsyncGenerator<Batch, void, undefined> {
  const { image, size, layout } = parts
  const stored = createStoredRuns(image)
  const limit = Math.ceil((offset + length) / layout.blockSize)
  for (let block = Math.floor(offset / layout.blockSize); block < limit;) {
    const state = bitmaps.stateOf(block)
    const isMixed = state === 'mixed'
    const end = endOfState(bitmaps, block, isMixed ? Math.min(limit, block + bitmapsAtOnce) : limit)
    if (isMixed) yield* mixedExtents(parts, bitmaps, stored, block, end)
    else if (state === 'full') yield* fullExtents(parts, stored, block, end)
    else {
      const start = block * layout.blockSize
      const length = Math.min(end * layout.blockSize, size) - start
      yield [{ offset: start, length, kind: 'hole' }]
    }
    block = end
  }
}

/** The first block after `block` whose state differs, at most `limit`. */
const endOfState = (bitmaps: BitmapCache, block: number, limit: number): number => {
  const state = bitmaps.stateOf(block)
  let end = block + 1
  while (end < limit && bitmaps.stateOf(end) === state) end += 1
  return end
}

/** The blocks `from` up to (not including) `to`, whose sectors are all written. */
async function* fullExtents(
  parts: DynamicDiskParts,
  stored: StoredRuns,
  from: number,
  to: number,
): AsyncGenerator<Batch, void, undefined> {
  const { size, entries, layout } = parts
  let start = from * layout.blockSize
  for (let block = from; block < to; block += 1) {
    const dataOffset = offsetOf(entries, block) + layout.bitmapSize
    if (stored.known(dataOffset, layout.blockSize) === 'data') continue
    const offset = block * layout.blockSize
    yield [{ offset: start, length: offset - start, kind: 'data' }]
    const length = Math.min(layout.blockSize, size - offset)
    yield await Array.fromAsync(writtenExtents(stored, { offset, length }, dataOffset))
    start = offset + length
  }
  const end = Math.min(to * layout.blockSize, size)
  yield [{ offset: start, length: end - start, kind: 'data' }]
}

/** What the bitmaps of the blocks `from` up to (not including) `to` say. */
async function* mixedExtents(
  { size, entries, layout, unwritten }: DynamicDiskParts,
  bitmaps: BitmapCache,
  stored: StoredRuns,
  from: number,
  to: number,
): AsyncGenerator<Batch, void, undefined> {
  const wanted = Array.from({ length: to - from }, (_, index) => bitmaps.get(from + index))
  for (const [index, bitmap] of (await Promise.all(wanted)).entries()) {
    const block = from + index
    const dataOffset = offsetOf(entries, block) + layout.bitmapSize
    let batch: Extent[] = []
    for (const run of bitRuns(bitmap, 0, sectorsInside(block, layout.blockSize, size))) {
      const inside = run.from * SECTOR_SIZE
      const offset = block * layout.blockSize + inside
      const length = (run.to - run.from) * SECTOR_SIZE
      const kind = run.isSet ? stored.known(dataOffset + inside, length) : unwritten
      if (kind !== undefined) batch.push({ offset, length, kind })
      else {
        const parts = writtenExtents(stored, { offset, length }, dataOffset + inside)
        for await (const part of parts) batch.push(part)
      }
      if (batch.length < batchLength) continue
      yield batch
      batch = []
    }
    yield batch
  }
}

/** A written stretch of the disk, whose bytes are at `imageOffset`: the storage is asked. */
async function* writtenExtents(
  stored: StoredRuns,
  { offset, length }: ByteRange,
  imageOffset: number,
): AsyncGenerator<Extent, void, undefined> {
  for await (const run of stored.within({ offset: imageOffset, length })) {
    yield { ...run, offset: run.offset - imageOffset + offset }
  }
}
