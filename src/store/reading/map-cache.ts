// Block maps of immutable layers, kept for the next reader up to a bound.

import type { BlockMap } from '../../disk/block-map.ts'
import { createRunCache } from './run-cache.ts'

/** Runs kept in all: 9 bytes each, 18 MB. */
const maximumRuns = 2_000_000

export interface MapCache {
  /**
   * The map of the content that `contentKey` names (contentKeyOf in file-stamp.ts) and that never
   * changes; `build` makes it when it is not there. Simultaneous askers share one build.
   */
  get(contentKey: string, build: () => Promise<BlockMap>): Promise<BlockMap>

  /** The map where it is there; it is not made. */
  peek(contentKey: string): BlockMap | undefined

  /** The key names another map from now on. No build of it may be running. */
  forget(contentKey: string): void
}

export const createMapCache = (limit = maximumRuns): MapCache => createRunCache(limit)
