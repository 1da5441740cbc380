// A chain of layers as one disk: each stretch is read from the top-most layer that holds it.
// Which layer that is, the overlaid block map says; no layer is asked in vain.

import type { BlockMap } from './block-map.ts'
import { createBlockMapBuilder, emptyBlockMap, overlayBlockMap } from './block-map.ts'
import type { Disk } from './disk.ts'
import { rangeWithin, throwIfAborted } from './disk.ts'
import { coalesce } from './extents.ts'
import { settleAll } from './settle.ts'

/** One layer, open, with its own map. */
export interface ChainLayer {
  readonly disk: Disk
  readonly map: BlockMap
}

/**
 * @param layers top first; the disk owns and closes them. None: a disk of zeros
 * @param size virtual size; a layer may be shorter (the disk grew) or longer (it is cut off)
 */
export const createChainDisk = (layers: readonly ChainLayer[], size: number): Disk => {
  const map = overlayAll(
    layers.map((layer) => layer.map),
    size,
  )
  return {
    size,
    // Neighbours of one kind may come from different layers.
    extents: (range) => coalesce(map.runs(range)),
    async read(offset, target, signal) {
      throwIfAborted(signal)
      const steps: Promise<void>[] = []
      for (const run of map.runs(rangeWithin(size, { offset, length: target.length }))) {
        const start = run.offset - offset
        const part = target.subarray(start, start + run.length)
        if (run.kind === 'data') steps.push(layers[run.depth]!.disk.read(run.offset, part, signal))
        else part.fill(0)
      }
      await (steps.length === 1 ? steps[0] : settleAll(steps))
    },
    async close() {
      await settleAll(layers.map(({ disk }) => disk.close()))
    },
  }
}

/** The maps of a chain, top first, as one of `size` bytes. */
const overlayAll = (maps: readonly BlockMap[], size: number): BlockMap => {
  const chain = maps.reduceRight(
    (lower, upper) => overlayBlockMap(upper, lower),
    emptyBlockMap(size),
  )
  return clipBlockMap(chain, size)
}

/** Cuts a map to `size` bytes, or fills it up with a hole. */
const clipBlockMap = (map: BlockMap, size: number): BlockMap => {
  if (map.size === size) return map
  const builder = createBlockMapBuilder()
  for (const { length, kind, depth } of map.runs({ offset: 0, length: Math.min(size, map.size) })) {
    builder.add(length, kind, depth)
  }
  builder.add(Math.max(0, size - map.size), 'hole')
  return builder.finish()
}
