// What to copy of a tree of layers so that its tops and what they share come out once each: pure
// reckoning over chains.

import type { LayerRow } from '../catalog/layers/layer-row.ts'

/** Some layers of a chain, each on the next, that become one. */
export interface Stretch {
  /** The layer that it ends with: a top, or one that others part from. */
  readonly top: LayerRow
  /** Top first, down to where the stretch below begins. */
  readonly layers: readonly LayerRow[]
  readonly below: Stretch | undefined
}

/**
 * The stretches between tops and partings, each after the one below it. Layers in between, which
 * only one disk is seen through, are worth no layer of their own.
 * @param chains top first
 */
export const stretchesOf = (chains: readonly (readonly LayerRow[])[]): Stretch[] => {
  const tops = new Set(chains.map(([top]) => top?.uuid))
  const children = new Map<string, Set<string>>()
  for (const chain of chains) {
    for (const [index, layer] of chain.slice(1).entries()) {
      const known = children.get(layer.uuid) ?? new Set()
      children.set(layer.uuid, known.add(chain[index]!.uuid))
    }
  }
  const endsStretch = ({ uuid }: LayerRow): boolean =>
    tops.has(uuid) || (children.get(uuid)?.size ?? 0) > 1

  const stretches = new Map<string, Stretch>()
  for (const chain of chains) {
    let below: Stretch | undefined
    let layers: LayerRow[] = []
    for (const layer of chain.toReversed()) {
      layers = [layer, ...layers]
      if (!endsStretch(layer)) continue
      below = stretches.get(layer.uuid) ?? { top: layer, layers, below }
      stretches.set(layer.uuid, below)
      layers = []
    }
  }
  return [...stretches.values()]
}
