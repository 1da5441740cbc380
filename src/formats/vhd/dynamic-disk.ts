// The disk in a dynamic or differencing file: blocks by the table, sectors by the bitmaps. Memory
// is the table and a bounded number of bitmaps.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin, throwIfAborted } from '../../disk/disk.ts'
import { clip, coalesceBatches } from '../../disk/extents.ts'
import { settleAll } from '../../disk/settle.ts'
import { SECTOR_SIZE } from '../../units.ts'
import type { BitmapCache } from './bitmap-cache.ts'
import { createBitmapCache } from './bitmap-cache.ts'
import { offsetOf } from './block-table.ts'
import type { DynamicDiskParts } from './dynamic-extents.ts'
import { blockExtents } from './dynamic-extents.ts'
import { bitRuns } from './sector-bitmap.ts'

/** The metadata must have been checked. The disk owns and closes `image`. */
export const createDynamicDisk = (parts: DynamicDiskParts): Disk => {
  const { image, size, layout } = parts
  const bitmaps = createBitmapCache(parts)
  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      for await (const extent of coalesceBatches(blockExtents(parts, bitmaps, asked))) {
        const part = clip(extent, asked)
        if (part !== undefined) yield part
      }
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      const steps: Promise<void>[] = []
      for (let done = 0; done < target.length;) {
        const left = layout.blockSize - ((offset + done) % layout.blockSize)
        const part = target.subarray(done, done + left)
        steps.push(readBlock(parts, bitmaps, offset + done, part, signal))
        done += part.length
      }
      await (steps.length === 1 ? steps[0] : settleAll(steps))
    },
    close: () => image.close(),
  }
}

/** Fills `target` from inside one block. */
const readBlock = async (
  { image, entries, layout }: DynamicDiskParts,
  bitmaps: BitmapCache,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const block = Math.floor(offset / layout.blockSize)
  const state = bitmaps.stateOf(block)
  if (state === 'absent') {
    target.fill(0)
    return
  }
  const inside = offset - block * layout.blockSize
  const dataOffset = offsetOf(entries, block) + layout.bitmapSize + inside
  if (state === 'full') {
    await image.read(dataOffset, target, signal)
    return
  }
  const from = Math.floor(inside / SECTOR_SIZE)
  const to = Math.ceil((inside + target.length) / SECTOR_SIZE)
  const runs = [...bitRuns(await bitmaps.get(block), from, to)]
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
