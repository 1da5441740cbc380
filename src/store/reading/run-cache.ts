// Block maps that are kept for the next reader, up to a number of runs in all, and made once for
// all who ask together. Maps of layers (map-cache.ts) and narrowed deltas (delta-cache.ts) lie in
// one each.

import type { BlockMap } from '../../disk/block-map.ts'
import { throwIfAborted } from '../../disk/disk.ts'

/** Who waits for a map; what makes it is given the same. */
export interface Asker {
  readonly signal?: AbortSignal | undefined
  /** Told the fraction that is done, 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined
}

interface RunCache {
  /**
   * The map under this key; `make` makes it when it is not there. Simultaneous askers share one
   * making, which is stopped when the last of them has left.
   * @throws what `make` throws, the reason of the asker's own signal
   */
  get(key: string, make: (asker: Asker) => Promise<BlockMap>, asker?: Asker): Promise<BlockMap>

  /** The map where it is there; it is not made. */
  peek(key: string): BlockMap | undefined

  /** The key names another map from now on. None may be in the making under it. */
  forget(key: string): void
}

interface Making {
  readonly result: Promise<BlockMap>
  readonly stop: AbortController
  readonly askers: Set<Asker>
}

/**
 * @param limit how many runs are kept in all, at 9 bytes each; the map least recently asked for
 *   goes first
 */
export const createRunCache = (limit: number): RunCache => {
  // A Map iterates in the order of insertion: the first entry is the one least recently asked for.
  const kept = new Map<string, BlockMap>()
  const running = new Map<string, Making>()
  let runs = 0

  const forget = (key: string): void => {
    runs -= kept.get(key)?.runCount ?? 0
    kept.delete(key)
  }
  const keep = (key: string, map: BlockMap): void => {
    forget(key)
    kept.set(key, map)
    runs += map.runCount
    for (const oldest of kept.keys()) {
      if (runs <= limit) break
      forget(oldest)
    }
  }

  const start = (key: string, make: (asker: Asker) => Promise<BlockMap>): Making => {
    const stop = new AbortController()
    const askers = new Set<Asker>()
    const onProgress = (fraction: number): void => {
      for (const asker of askers) asker.onProgress?.(fraction)
    }
    const work = async (): Promise<BlockMap> => {
      try {
        const map = await make({ signal: stop.signal, onProgress })
        keep(key, map)
        return map
      } finally {
        // Another may have begun since this one was stopped.
        if (running.get(key) === making) running.delete(key)
      }
    }
    const making: Making = { stop, askers, result: Promise.resolve().then(work) }
    // Reports to those who still wait.
    making.result.catch(() => {})
    running.set(key, making)
    return making
  }

  return {
    peek: (key) => kept.get(key),
    forget,
    async get(key, make, asker = {}) {
      throwIfAborted(asker.signal)
      const known = kept.get(key)
      if (known !== undefined) {
        keep(key, known)
        return known
      }
      const making = running.get(key) ?? start(key, make)
      making.askers.add(asker)
      try {
        return await untilAborted(making.result, asker.signal)
      } finally {
        making.askers.delete(asker)
        if (making.askers.size === 0) {
          making.stop.abort()
          if (running.get(key) === making) running.delete(key)
        }
      }
    },
  }
}

/** What `promise` gives, or the reason of the signal, whichever comes first. */
const untilAborted = async <T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> => {
  if (signal === undefined) return promise
  let leave = (): void => {}
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => {
      try {
        throwIfAborted(signal)
      } catch (error) {
        reject(error)
      }
    }
    signal.addEventListener('abort', leave, { once: true })
  })
  try {
    return await Promise.race([promise, left])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
