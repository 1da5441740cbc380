// A chain of layers as one disk. Each stretch is read from the topmost layer that holds it. There
// are two ways to find that layer: an overlaid map of all layers, for readers of the whole disk, or
// asking the layers from the top down for each range, for readers of a small part of a chain whose
// maps are not known.

import type { BlockMap, MapRun } from './block-map.ts'
import { overlayChain } from './block-map-sets.ts'
import type { Disk } from './disk.ts'
import { rangeWithin, throwIfAborted } from './disk.ts'
import type { ByteRange } from './extents.ts'
import { coalesce } from './extents.ts'
import { settleAll } from './settle.ts'

/** One open layer with its own map. */
interface ChainLayer {
  readonly disk: Disk
  readonly map: BlockMap
}

/** One open layer. If its map is known, its disk answers `extents` from the map. */
export interface LayerOnDemand {
  readonly disk: Disk
}

/** A disk that also tells which layer each stretch comes from. */
export interface ChainDisk extends Disk {
  /**
   * Like `extents`, with the depth of the layer that answers. Neighbours may be of the same kind
   * and depth.
   */
  runs(range?: ByteRange): AsyncIterable<MapRun> | Iterable<MapRun>
}

/**  */
export const createChainDisk = (layers: readonly ChainLayer[], size: number): ChainDisk => {
  const map = overlayChain(
    layers.map((layer) => layer.map),
    size,
  )
  return chainDisk(layers, size, (range) => map.runs(range))
}

/** The same disk, without a map of the whole: a range costs what its layers' extents there cost. */
export const createChainOnDemand = (layers: readonly LayerOnDemand[], size: number): ChainDisk =>
  chainDisk(layers, size, (range) => runsBelow(layers, 0, size, range))

const chainDisk = (
  layers: readonly LayerOnDemand[],
  size: number,
  runs: (range?: ByteRange) => AsyncIterable<MapRun> | Iterable<MapRun>,
): ChainDisk => ({
  size,
  runs,
  // Neighbours of one kind may come from different layers.
  extents: (range) => coalesce(runs(range)),
  async read(offset, target, signal) {
    throwIfAborted(signal)
    const steps: Promise<void>[] = []
    for await (const run of runs(rangeWithin(size, { offset, length: target.length }))) {
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
})

/**
 * What the layers from `depth` down show in a range: what one does not hold, the next is asked for.
 */
async function* runsBelow(
  layers: readonly LayerOnDemand[],
  depth: number,
  size: number,
  range?: ByteRange,
): AsyncGenerator<MapRun, void, undefined> {
  const { offset, length } = rangeWithin(size, range)
  const layer = layers[depth]
  const isLast = depth >= layers.length - 1
  // Beyond the end of a layer nothing of those below it is seen.
  const held = Math.max(0, Math.min(length, (layer?.disk.size ?? 0) - offset))
  if (layer !== undefined && held > 0) {
    for await (const extent of layer.disk.extents({ offset, length: held })) {
      const { kind } = extent
      if (kind === 'hole' && !isLast) yield* runsBelow(layers, depth + 1, size, extent)
      else
        yield {
          offset: extent.offset,
          length: extent.length,
          kind,
          depth: kind === 'hole' ? 0 : depth,
        }
    }
  }
  if (held < length) yield { offset: offset + held, length: length - held, kind: 'hole', depth: 0 }
}
