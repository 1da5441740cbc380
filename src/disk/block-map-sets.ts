// Block maps put together: a chain as one map, union, intersection, difference, clip. Each walks
// its maps side by side, every run once; many maps are joined in halves, so that k maps of n runs
// in all cost n log k steps. Results take memory by runs.

import type { BlockMap, BlockMapBuilder, RunCursor } from './block-map.ts'
import { createBlockMapBuilder, emptyBlockMap } from './block-map.ts'

/**
 * Walks two maps over `size` bytes, in stretches in which neither changes. A map that is shorter
 * has holes beyond its end.
 * @param add puts what the stretch becomes into the builder: `length` bytes of one kind
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

/** Joins neighbours, their results, and so on; undefined for none. `join` must be associative. */
const joinInHalves = <T>(parts: readonly T[], join: (one: T, other: T) => T): T | undefined => {
  if (parts.length <= 1) return parts[0]
  const middle = parts.length >>> 1
  return join(joinInHalves(parts.slice(0, middle), join)!, joinInHalves(parts.slice(middle), join)!)
}

/**
 * What is seen of `lower` through the holes of `upper`. The result has the size of `upper`: what
 * `lower` has beyond is cut off, what it lacks is hole.
 * @param layers how many `upper` stands for: so much deeper is what comes from `lower`
 */
export const overlayBlockMap = (upper: BlockMap, lower: BlockMap, layers = 1): BlockMap =>
  combine(upper, lower, upper.size, (builder, length, above, below) => {
    if (above.kind !== 'hole') builder.add(length, above.kind, above.depth)
    else if (below.kind === 'hole') builder.add(length, 'hole')
    else builder.add(length, below.kind, below.depth + layers)
  })

/**
 * The maps of a chain, top first, as one of `size` bytes; a run's depth is the index of its map.
 * Beyond the end of a map nothing of those below it is seen.
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
 * What the maps hold between them: `data` where any has data or zeros, `hole` where none says
 * anything. Depths are dropped.
 * @param size of the result; a map that is shorter has holes beyond its end
 */
export const unionBlockMap = (maps: readonly BlockMap[], size: number): BlockMap => {
  const union = (one: BlockMap, other: BlockMap): BlockMap =>
    combine(one, other, size, (builder, length, a, b) =>
      builder.add(length, a.kind === 'hole' && b.kind === 'hole' ? 'hole' : 'data'),
    )
  const nothing = emptyBlockMap(size)
  // A single one is joined with nothing, which drops its zeros, its depths and what is beyond.
  return joinInHalves(maps.length === 1 ? [...maps, nothing] : maps, union) ?? nothing
}

/** What `map` says, where `mask` holds something; hole elsewhere. Has the size of `map`. */
export const intersectBlockMap = (map: BlockMap, mask: BlockMap): BlockMap =>
  combine(map, mask, map.size, (builder, length, kept, within) =>
    within.kind === 'hole'
      ? builder.add(length, 'hole')
      : builder.add(length, kept.kind, kept.depth),
  )

/** What `map` says, where `taken` holds nothing; hole elsewhere. Has the size of `map`. */
export const subtractBlockMap = (map: BlockMap, taken: BlockMap): BlockMap =>
  combine(map, taken, map.size, (builder, length, kept, without) =>
    without.kind === 'hole'
      ? builder.add(length, kept.kind, kept.depth)
      : builder.add(length, 'hole'),
  )

/** The map, cut to `size` bytes, or filled up with a hole. */
export const clipBlockMap = (map: BlockMap, size: number): BlockMap => {
  if (map.size === size) return map
  return combine(map, emptyBlockMap(0), size, (builder, length, { kind, depth }) =>
    builder.add(length, kind, depth),
  )
}
