// A disk as it differs from another: what may have changed is `data` or `zero`, what has not is a
// hole. Reads give the disk's content everywhere, so that a plan may send whole blocks.

import type { BlockMap } from './block-map.ts'
import { collectBlockMap, createBlockMapBuilder } from './block-map.ts'
import {
  intersectBlockMap,
  overlayBlockMap,
  overlayChain,
  subtractBlockMap,
  unionBlockMap,
} from './block-map-sets.ts'
import type { Disk } from './disk.ts'
import { coalesce } from './extents.ts'
import { readRanges } from './read-ranges.ts'

/**
 * @param disk the one that is sent; the delta owns and closes it
 * @param map what to send: that of collectDeltaMap
 */
export const createDeltaDisk = (disk: Disk, map: BlockMap): Disk => ({
  size: disk.size,
  extents: (range) => coalesce(map.runs(range)),
  read: (offset, target, signal) => disk.read(offset, target, signal),
  readRanges: (ranges, target, signal) => readRanges(disk, ranges, target, signal),
  close: () => disk.close(),
})

/** What two disks have that the other has not. */
interface Difference {
  /** The maps of the layers that only the disk has, top first. */
  readonly own: readonly BlockMap[]
  /** Those that only the base has. */
  readonly others: readonly BlockMap[]
  /** Size of the base, in bytes. */
  readonly baseSize: number
  /** Size of the largest layer that both have; 0 for none. */
  readonly sharedSize: number
}

/**
 * What may differ between two disks, as `data`; the rest is hole. Metadata decides: a block counts
 * if any layer holds it that is on one path and not on the other. Where a layer, or the base, ends
 * before one that both have, it hides what that one holds: that counts too.
 * @param size of the disk that is sent
 */
export const changedBlocks = (
  { own, others, baseSize, sharedSize }: Difference,
  size: number,
): BlockMap => {
  const maps = [...own, ...others]
  const shortest = maps.reduce((least, map) => Math.min(least, map.size), baseSize)
  const hidden = createBlockMapBuilder()
  hidden.add(shortest, 'hole')
  hidden.add(Math.max(0, sharedSize - shortest), 'data')
  return unionBlockMap([...maps, hidden.finish()], size)
}

/**
 * What a delta sends: of what has changed `data` where the disk holds data, `zero` where it shows
 * zeros, because the base may hold something there.
 * @param disk asked only where the layers of `own` do not answer
 * @param own the maps of the layers that only the disk has, top first
 */
export const collectDeltaMap = async (
  disk: Disk,
  changed: BlockMap,
  own: readonly BlockMap[],
): Promise<BlockMap> => {
  const top = overlayChain(own, disk.size)
  const known = intersectBlockMap(top, changed)
  const asked = await collectBlockMap(disk, subtractBlockMap(changed, top))
  const content = overlayBlockMap(known, asked)
  const zeros = createBlockMapBuilder()
  for (const { length, kind } of changed.runs())
    zeros.add(length, kind === 'hole' ? 'hole' : 'zero')
  return overlayBlockMap(content, zeros.finish())
}
