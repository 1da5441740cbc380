// Combines block maps: a chain as one map, union, intersection, difference, clip. Each function
// walks its maps side by side and visits every run once. Many maps are joined in halves, so k maps
// with n runs in total take n log k steps. Memory grows with the runs of the result.

import type { BlockMap, BlockMapBuilder, RunCursor } from './block-map.ts'
import { createBlockMapBuilder, emptyBlockMap } from './block-map.ts'

/**
 * Walks two maps over `size` bytes, in stretches within which neither changes. A shorter map has a
 * hole beyond its end.
 * @param add adds the result for one stretch of `length` bytes to the builder
 */
const combine = (
  one: BlockMap,
  other: BlockMap,
  size: number,
  add: (builder: BlockMapBuilder, length: number, one: RunCursor, other: RunCursor) => void,
): BlockMap => {
  const builder = createBlockMapBuilder()
  const [a, b] = [one.cursor(), other.cursor()]
  for (let offset = 0; offset < size;) {
    const end = Math.min(a.end, b.end, size)
    add(builder, end - offset, a, b)
    if (a.end === end) a.next()
    if (b.end === end) b.next()
    offset = end
  }
  return builder.finish()
}

/**
 * Joins neighbours, then their results, and so on. Undefined without parts. `join` must be
 * associative.
 */
const joinInHalves = <T>(parts: readonly T[], join: (one: T, other: T) => T): T | undefined => {
  if (parts.length <= 1) return parts[0]
  const middle = parts.length >>> 1
  return join(joinInHalves(parts.slice(0, middle), join)!, joinInHalves(parts.slice(middle), join)!)
}

/**
 * `upper`, with `lower` showing through its holes. The result has the size of `upper`: what `lower`
 * holds beyond that is cut off, and where `lower` ends earlier the result is a hole.
 * @param layers the number of layers in `upper`, added to each depth that comes from `lower`
 */
export const overlayBlockMap = (upper: BlockMap, lower: BlockMap, layers = 1): BlockMap =>
  combine(upper, lower, upper.size, (builder, length, above, below) => {
    if (above.kind !== 'hole') builder.add(length, above.kind, above.depth)
    else if (below.kind === 'hole') builder.add(length, 'hole')
    else builder.add(length, below.kind, below.depth + layers)
  })

/**
 * Overlays the maps of a chain, top first, as one map of `size` bytes. The depth of a run is the
 * index of its map. Beyond the end of a map, the maps below it are hidden.
 */
export const overlayChain = (maps: readonly BlockMap[], size: number): BlockMap => {
  let reach = size
  const layers = maps.map((map) => {
    reach = Math.min(reach, map.size)
    return { map: clipBlockMap(map, reach), count: 1 }
  })
  const chain = joinInHalves(layers, (upper, lower) => ({
    map: overlayBlockMap(upper.map, lower.map, upper.count),
    count: upper.count + lower.count,
  }))
  return clipBlockMap(chain?.map ?? emptyBlockMap(size), size)
}

/**
 * The union of the maps: `data` where any map has data or zeros, `hole` elsewhere. All depths are
 * 0.
 * @param size of the result in bytes; a shorter map has a hole beyond its end
 */
export const unionBlockMap = (maps: readonly BlockMap[], size: number): BlockMap => {
  const union = (one: BlockMap, other: BlockMap): BlockMap =>
    combine(one, other, size, (builder, length, a, b) =>
      builder.add(length, a.kind === 'hole' && b.kind === 'hole' ? 'hole' : 'data'),
    )
  const nothing = emptyBlockMap(size)
  // The union with an empty map drops zeros, depths and whatever lies beyond `size`.
  return joinInHalves(maps.length === 1 ? [...maps, nothing] : maps, union) ?? nothing
}

/** `map` where `mask` has data or zeros; a hole elsewhere. Has the size of `map`. */
export const intersectBlockMap = (map: BlockMap, mask: BlockMap): BlockMap =>
  combine(map, mask, map.size, (builder, length, kept, within) =>
    within.kind === 'hole'
      ? builder.add(length, 'hole')
      : builder.add(length, kept.kind, kept.depth),
  )

/** `map` where `taken` is a hole; a hole elsewhere. Has the size of `map`. */
export const subtractBlockMap = (map: BlockMap, taken: BlockMap): BlockMap =>
  combine(map, taken, map.size, (builder, length, kept, without) =>
    without.kind === 'hole'
      ? builder.add(length, kept.kind, kept.depth)
      : builder.add(length, 'hole'),
  )

/** The map, cut to `size` bytes or extended with a hole. */
export const clipBlockMap = (map: BlockMap, size: number): BlockMap => {
  if (map.size === size) return map
  return combine(map, emptyBlockMap(0), size, (builder, length, { kind, depth }) =>
    builder.add(length, kind, depth),
  )
}
