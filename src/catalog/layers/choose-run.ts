// Which layers of a storage repository are merged next, so that no chain is longer than it may be:
// pure reckoning over its rows.
//
// A run is a stretch of a chain, in which every layer but the top one is named by no VDI and has
// one child, the next of the run. So a path (the layers of one VDI) that has one of the run has all
// of it, and which layers two paths do not share is the same before and after the run has become
// one layer. What those layers hold between them is the same too, if the merged one holds what the
// run held, zeros included. That is all that a delta goes by: merging changes no byte of an export.

import type { LayerRow } from './layer-row.ts'
import { createLayerTree } from './layer-tree.ts'

export interface ChainLimits {
  /** Layers that a chain may have. */
  readonly maximumDepth: number
  /** Layers that are not merged now, nor into others. */
  readonly postponed: ReadonlySet<string>
}

/**
 * The run whose merging brings the longest chain as near to the limit as it can be; of several that
 * do the one of the fewest bytes. Top first; undefined where nothing is left to do.
 * @param named the top layers of VDIs
 */
export const chooseRun = (
  layers: readonly LayerRow[],
  named: ReadonlySet<string>,
  { maximumDepth, postponed }: ChainLimits,
): LayerRow[] | undefined => {
  const tree = createLayerTree(layers)
  const chains = layers
    .filter(({ uuid }) => named.has(uuid))
    .map(({ uuid }) => Array.from(tree.downFrom(uuid)))
    .filter((chain) => chain.length > maximumDepth)
    .toSorted((a, b) => b.length - a.length)
  for (const chain of chains) {
    const wanted = chain.length - maximumDepth + 1
    const windows = runsOf(chain, named, tree.childCount)
      .flatMap((run) => windowsOf(run, wanted))
      .filter((run) => !run.some(({ uuid }) => postponed.has(uuid)))
    const [best] = windows.toSorted((a, b) => b.length - a.length || bytesOf(a) - bytesOf(b))
    if (best !== undefined) return best
  }
  return undefined
}

/** A file that is ours alone, with content: others are neither replaced nor made superfluous. */
export const isMergeable = ({ state, hasData, fileStamp }: LayerRow): boolean =>
  state === 'sealed' && hasData && fileStamp === null

/** The longest runs of a chain, each top first and of two layers at least. */
const runsOf = (
  chain: readonly LayerRow[],
  named: ReadonlySet<string>,
  childCount: (uuid: string) => number,
): LayerRow[][] => {
  const runs: LayerRow[][] = []
  let run: LayerRow[] = []
  for (const [index, layer] of chain.entries()) {
    const above = run.at(-1)
    const joins =
      above !== undefined &&
      isMergeable(layer) &&
      !named.has(layer.uuid) &&
      childCount(layer.uuid) === 1 &&
      layer.virtualSize <= above.virtualSize
    if (!joins) {
      runs.push(run)
      run = isMergeable(layer) ? [layer] : []
    } else {
      run.push(layer)
    }
    // A layer cuts off what a larger one below it holds past its end. That must stay so: it stays.
    const below = chain[index + 1]
    if (below !== undefined && below.virtualSize > layer.virtualSize) {
      runs.push(run.slice(0, -1))
      run = []
    }
  }
  return [...runs, run].filter(({ length }) => length > 1)
}

/** All stretches of a run that have `wanted` layers; the run where it has fewer. */
const windowsOf = (run: readonly LayerRow[], wanted: number): LayerRow[][] => {
  const length = Math.min(wanted, run.length)
  return Array.from({ length: run.length - length + 1 }, (_, start) =>
    run.slice(start, start + length),
  )
}

const bytesOf = (run: readonly LayerRow[]): number =>
  run.reduce((sum, { fileSize }) => sum + fileSize, 0)
