// The layers of storage repositories as trees, over rows that have been read: what lies below a
// layer, what some layers need, what nothing needs. Pure; linear in the number of layers.

import type { LayerRow } from './layer-row.ts'

export interface LayerTree<Layer> {
  get(uuid: string): Layer | undefined

  /** The layer and all below it; nothing for an unknown one. */
  downFrom(top: string): Iterable<Layer>

  /** The uuids of the roots and of all below them; unknown roots are ignored. */
  neededBy(roots: Iterable<string>): Set<string>

  /** The sealed layers that no root needs, each before its parent, so that files go top first. */
  unneededBy(roots: Iterable<string>): Layer[]

  /** How many layers lie directly on this one, without those that are being deleted. */
  readonly childCount: (uuid: string) => number
}

type Node = Pick<LayerRow, 'uuid' | 'parentUuid' | 'state'>

export const createLayerTree = <Layer extends Node>(layers: readonly Layer[]): LayerTree<Layer> => {
  const byUuid = new Map(layers.map((layer) => [layer.uuid, layer]))
  const childCounts = new Map<string, number>()
  for (const { parentUuid, state } of layers) {
    if (parentUuid === null || state === 'deleting') continue
    childCounts.set(parentUuid, (childCounts.get(parentUuid) ?? 0) + 1)
  }

  function* downFrom(top: string): Generator<Layer, void, undefined> {
    // The catalog makes no cycle; a walk over more layers than there are would be in one.
    let left = layers.length
    for (let layer = byUuid.get(top); layer !== undefined && left > 0; left -= 1) {
      yield layer
      layer = layer.parentUuid === null ? undefined : byUuid.get(layer.parentUuid)
    }
  }

  const neededBy = (roots: Iterable<string>): Set<string> => {
    const needed = new Set<string>()
    for (const root of roots) {
      for (const { uuid } of downFrom(root)) {
        if (needed.has(uuid)) break
        needed.add(uuid)
      }
    }
    return needed
  }

  /** How many layers a chain has from each one down, itself included. */
  const depths = (): Map<string, number> => {
    const known = new Map<string, number>()
    for (const top of byUuid.keys()) {
      const path: string[] = []
      let depth = 0
      for (const { uuid } of downFrom(top)) {
        depth = known.get(uuid) ?? 0
        if (depth > 0) break
        path.push(uuid)
      }
      for (const uuid of path.toReversed()) known.set(uuid, (depth += 1))
    }
    return known
  }

  return {
    get: (uuid) => byUuid.get(uuid),
    downFrom,
    neededBy,
    unneededBy(roots) {
      const needed = neededBy(roots)
      const depthOf = depths()
      return layers
        .filter((layer) => layer.state === 'sealed' && !needed.has(layer.uuid))
        .toSorted((a, b) => depthOf.get(b.uuid)! - depthOf.get(a.uuid)!)
    },
    childCount: (uuid) => childCounts.get(uuid) ?? 0,
  }
}
