// Narrowed deltas, kept for the next reader up to a bound: a HEAD, the GET after it and a resumed range
// compare two disks once. A comparison goes on for as long as one of those who asked waits for it.

import type { BlockMap } from '../../disk/block-map.ts'
import { throwIfAborted } from '../../disk/disk.ts'
import type { NarrowOptions } from '../../disk/narrow-delta.ts'

/** Runs kept in all: 9 bytes each, 4.5 MB. */
const maximumRuns = 500_000

export interface DeltaCache {
  /**
   * The map under this key; `compare` makes it when it is not there. Simultaneous askers share one
   * comparison, which is stopped when the last of them has left.
   * @param key names the content of both disks, and their sizes
   * @throws what `compare` throws, the reason of the asker's own signal
   */
  get(
    key: string,
    compare: (options: NarrowOptions) => Promise<BlockMap>,
    asker: NarrowOptions,
  ): Promise<BlockMap>
}

interface Comparison {
  readonly result: Promise<BlockMap>
  readonly stop: AbortController
  readonly askers: Set<NarrowOptions>
}

export const createDeltaCache = (limit = maximumRuns): DeltaCache => {
  // A Map iterates in the order of insertion: the first entry is the one least recently asked for.
  const kept = new Map<string, BlockMap>()
  const running = new Map<string, Comparison>()
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

  const start = (
    key: string,
    compare: (options: NarrowOptions) => Promise<BlockMap>,
  ): Comparison => {
    const stop = new AbortController()
    const askers = new Set<NarrowOptions>()
    const onProgress = (fraction: number): void => {
      for (const asker of askers) asker.onProgress?.(fraction)
    }
    const work = async (): Promise<BlockMap> => {
      try {
        const map = await compare({ signal: stop.signal, onProgress })
        keep(key, map)
        return map
      } finally {
        // Another may have begun since this one was stopped.
        if (running.get(key) === comparison) running.delete(key)
      }
    }
    const comparison: Comparison = { stop, askers, result: Promise.resolve().then(work) }
    // Those who wait are told; when all have left, nobody is.
    comparison.result.catch(() => {})
    running.set(key, comparison)
    return comparison
  }

  return {
    async get(key, compare, asker) {
      throwIfAborted(asker.signal)
      const known = kept.get(key)
      if (known !== undefined) {
        keep(key, known)
        return known
      }
      const comparison = running.get(key) ?? start(key, compare)
      comparison.askers.add(asker)
      try {
        return await untilAborted(comparison.result, asker.signal)
      } finally {
        comparison.askers.delete(asker)
        if (comparison.askers.size === 0) {
          comparison.stop.abort()
          if (running.get(key) === comparison) running.delete(key)
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
