// Which layers nothing needs any more: pure reckoning over the rows of one storage repository.

import type { LayerRow } from './layer-row.ts'

/**
 * The sealed layers that no root lies on, each before its parent, so that files go from the top.
 * @param roots layers that are needed, with all below them; unknown uuids are passed over
 */
export const unreachableLayers = (
  layers: readonly LayerRow[],
  roots: Iterable<string>,
): LayerRow[] => {
  const byUuid = new Map(layers.map((layer) => [layer.uuid, layer]))
  const needed = new Set<string>()
  for (const root of roots) {
    for (const uuid of downFrom(byUuid, root)) {
      if (needed.has(uuid)) break
      needed.add(uuid)
    }
  }
  const unneeded = layers.filter((layer) => layer.state === 'sealed' && !needed.has(layer.uuid))
  const depths = depthsOf(byUuid)
  return unneeded.toSorted((a, b) => depths.get(b.uuid)! - depths.get(a.uuid)!)
}

/** The layer and those below it; a cycle, which the catalog never makes, ends the walk. */
export function* downFrom(
  byUuid: ReadonlyMap<string, Pick<LayerRow, 'uuid' | 'parentUuid'>>,
  top: string,
): Generator<string> {
  const seen = new Set<string>()
  for (let layer = byUuid.get(top); layer !== undefined && !seen.has(layer.uuid);) {
    seen.add(layer.uuid)
    yield layer.uuid
    layer = layer.parentUuid === null ? undefined : byUuid.get(layer.parentUuid)
  }
}

/** How many layers a chain has from each one down, itself included. */
const depthsOf = (byUuid: ReadonlyMap<string, LayerRow>): Map<string, number> => {
  const depths = new Map<string, number>()
  for (const top of byUuid.keys()) {
    const path: string[] = []
    let depth = 0
    for (const uuid of downFrom(byUuid, top)) {
      depth = depths.get(uuid) ?? 0
      if (depth > 0) break
      path.push(uuid)
    }
    for (const uuid of path.toReversed()) depths.set(uuid, (depth += 1))
  }
  return depths
}
