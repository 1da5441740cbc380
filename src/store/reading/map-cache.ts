// Block maps of immutable layers, kept for the next reader up to a bound.

import type { BlockMap } from '../../disk/block-map.ts'

/** Runs kept in all: 9 bytes each, 18 MB. */
const maximumRuns = 2_000_000

export interface MapCache {
  /**
   * The map of the content that `key` names (contentKeyOf in file-stamp.ts) and that never changes; `build` makes
   * it when it is not there. Simultaneous askers share one build.
   */
  get(key: string, build: () => Promise<BlockMap>): Promise<BlockMap>

  /** The map where it is there; it is not made. */
  peek(key: string): BlockMap | undefined

  /** The key names another map from now on. No build of it may be running. */
  forget(key: string): void
}

export const createMapCache = (limit = maximumRuns): MapCache => {
  // A Map iterates in the order of insertion: the first entry is the one least recently asked for.
  const maps = new Map<string, BlockMap>()
  const building = new Map<string, Promise<BlockMap>>()
  let runs = 0

  const forget = (uuid: string): void => {
    runs -= maps.get(uuid)?.runCount ?? 0
    maps.delete(uuid)
  }
  const keep = (uuid: string, map: BlockMap): void => {
    forget(uuid)
    maps.set(uuid, map)
    runs += map.runCount
    for (const oldest of maps.keys()) {
      if (runs <= limit) break
      forget(oldest)
    }
  }

  return {
    peek: (uuid) => maps.get(uuid),
    forget,
    async get(uuid, build) {
      const known = maps.get(uuid)
      if (known !== undefined) {
        keep(uuid, known)
        return known
      }
      const started = building.get(uuid) ?? build()
      building.set(uuid, started)
      try {
        const map = await started
        keep(uuid, map)
        return map
      } finally {
        building.delete(uuid)
      }
    },
  }
}
