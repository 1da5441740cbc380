// Narrowed deltas, kept for the next reader up to a bound: a HEAD, the GET after it and a resumed
// range compare two disks once. A comparison goes on for as long as one of those who asked waits
// for it.

import type { BlockMap } from '../../disk/block-map.ts'
import type { Asker } from './run-cache.ts'
import { createRunCache } from './run-cache.ts'

/** Runs kept in all: 9 bytes each, 4.5 MB. */
const maximumRuns = 500_000

interface DeltaCache {
  /**
   * See RunCache.get.
   * @param key names the content of both disks, and their sizes
   */
  get(key: string, compare: (asker: Asker) => Promise<BlockMap>, asker: Asker): Promise<BlockMap>
}

export const createDeltaCache = (limit = maximumRuns): DeltaCache => createRunCache(limit)
