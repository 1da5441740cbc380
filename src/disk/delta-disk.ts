// A disk as it differs from another: what may have changed is `data` or `zero`, what has not is a
// hole. Reads give the disk's content everywhere, so that a plan may send whole blocks.

import type { BlockMap } from './block-map.ts'
import { unionBlockMap } from './block-map.ts'
import type { Disk } from './disk.ts'
import { rangeWithin } from './disk.ts'
import type { Extent } from './extents.ts'
import { coalesce } from './extents.ts'

/** One layer on the path of a disk. */
export interface PathLayer {
  readonly uuid: string
  readonly map: BlockMap
}

/**
 * Metadata decides: a block counts if any layer that is on one path and not on the other holds it.
 * @param disk the one that is sent; the delta owns and closes it
 * @param path the layers of `disk`, top first
 * @param basePath those of the disk that the delta will go onto
 */
export const createDeltaDisk = (
  disk: Disk,
  path: readonly PathLayer[],
  basePath: readonly PathLayer[],
): Disk => {
  const changed = unionBlockMap(
    symmetricDifference(path, basePath).map(({ map }) => map),
    disk.size,
  )

  async function* extents(range: { offset: number; length: number }): AsyncGenerator<Extent> {
    for (const run of changed.runs(range)) {
      if (run.kind === 'hole') yield run
      else yield* changedExtents(disk.extents(run))
    }
  }

  return {
    size: disk.size,
    async *extents(range) {
      yield* coalesce(extents(rangeWithin(disk.size, range)))
    },
    read: (offset, target, signal) => disk.read(offset, target, signal),
    close: () => disk.close(),
  }
}

/** The layers that are on one of the two paths only. */
export const symmetricDifference = (
  path: readonly PathLayer[],
  basePath: readonly PathLayer[],
): PathLayer[] => {
  const uuids = new Set(path.map(({ uuid }) => uuid))
  const baseUuids = new Set(basePath.map(({ uuid }) => uuid))
  return [
    ...path.filter(({ uuid }) => !baseUuids.has(uuid)),
    ...basePath.filter(({ uuid }) => !uuids.has(uuid)),
  ]
}

/** What is empty now must be sent as zeros: the base may hold something there. */
async function* changedExtents(extents: AsyncIterable<Extent>): AsyncGenerator<Extent> {
  for await (const extent of extents) {
    yield extent.kind === 'hole' ? { ...extent, kind: 'zero' } : extent
  }
}
