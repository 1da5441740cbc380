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
import { readRanges, requireRanges } from './read-ranges.ts'
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

/** With a map of the whole, which tells for every stretch which layer answers. */
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

type Runs = ChainDisk['runs']

const chainDisk = (layers: readonly LayerOnDemand[], size: number, runs: Runs): ChainDisk => ({
  size,
  runs,
  // Neighbours of one kind may come from different layers.
  extents: (range) => coalesce(runs(range)),
  read: (offset, target, signal) =>
    readGathered(layers, size, runs, [{ offset, length: target.length }], target, signal),
  readRanges: (ranges, target, signal) => readGathered(layers, size, runs, ranges, target, signal),
  async close() {
    await settleAll(layers.map(({ disk }) => disk.close()))
  },
})

/** What follows each other in `target` and comes from one layer is one read of that layer. */
const readGathered = async (
  layers: readonly LayerOnDemand[],
  size: number,
  runs: Runs,
  ranges: readonly ByteRange[],
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  throwIfAborted(signal)
  requireRanges(size, ranges, target.length)
  const steps: Promise<void>[] = []
  let gathered: ByteRange[] = []
  let depth = 0
  let start = 0
  let end = 0
  const flush = (): void => {
    if (gathered.length === 0) return
    const step = readRanges(layers[depth]!.disk, gathered, target.subarray(start, end), signal)
    // Waited for at the end; until then it must not count as unhandled.
    step.catch(() => {})
    steps.push(step)
    gathered = []
  }
  const add = (run: MapRun): void => {
    if (run.kind !== 'data' || run.depth !== depth) flush()
    if (run.kind !== 'data') target.fill(0, end, end + run.length)
    else {
      if (gathered.length === 0) start = end
      depth = run.depth
      gathered.push(run)
    }
    end += run.length
  }
  try {
    for (const range of ranges) {
      const found = runs(range)
      // Waiting for what is there would cost more than all the rest.
      if (Symbol.iterator in found) for (const run of found) add(run)
      else for await (const run of found) add(run)
    }
    flush()
  } catch (error) {
    // Nothing may write into the caller's bytes any more.
    await Promise.allSettled(steps)
    throw error
  }
  await (steps.length === 1 ? steps[0] : settleAll(steps))
}

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
