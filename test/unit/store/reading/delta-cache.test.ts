// Comparisons are made once, shared by those who ask together, and stopped when nobody waits.

import { describe, expect, test } from 'vitest'
import type { BlockMap } from '../../../../src/disk/block-map.ts'
import { createBlockMapBuilder, emptyBlockMap } from '../../../../src/disk/block-map.ts'
import type { NarrowOptions } from '../../../../src/disk/narrow-delta.ts'
import { createDeltaCache } from '../../../../src/store/reading/delta-cache.ts'

/** Comparisons that the test ends. */
const createComparisons = () => {
  const started: { options: NarrowOptions; end: (map: BlockMap | Error) => void }[] = []
  const compare = (options: NarrowOptions): Promise<BlockMap> =>
    new Promise((resolve, reject) => {
      const end = (map: BlockMap | Error): void => {
        if (map instanceof Error) reject(map)
        else resolve(map)
      }
      started.push({ options, end })
      options.signal?.addEventListener('abort', () => reject(options.signal!.reason as Error))
    })
  return { started, compare }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const map = emptyBlockMap(512)

const mapOfRuns = (runs: number): BlockMap => {
  const builder = createBlockMapBuilder()
  for (let run = 0; run < runs; run += 1) builder.add(1, run % 2 === 0 ? 'data' : 'hole')
  return builder.finish()
}

describe('delta cache', () => {
  test('those who ask together share one comparison, and later ones its result', async () => {
    const { started, compare } = createComparisons()
    const cache = createDeltaCache()
    const told: string[] = []
    const asking = ['one', 'other'].map((name) =>
      cache.get('a b', compare, { onProgress: (done) => told.push(`${name} ${done}`) }),
    )
    await turn()
    started[0]!.options.onProgress?.(0.5)
    started[0]!.end(map)
    expect(await Promise.all(asking)).toEqual([map, map])
    expect(await cache.get('a b', compare, {})).toBe(map)
    expect(started.length).toBe(1)
    expect(told).toEqual(['one 0.5', 'other 0.5'])
  })

  test('one that leaves is told at once; the comparison goes on for the other', async () => {
    const { started, compare } = createComparisons()
    const cache = createDeltaCache()
    const leave = new AbortController()
    const leaving = cache.get('a b', compare, { signal: leave.signal })
    const staying = cache.get('a b', compare, {})
    await turn()
    leave.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(started[0]!.options.signal!.aborted).toBe(false)
    started[0]!.end(map)
    expect(await staying).toBe(map)
  })

  test('when the last one leaves it is stopped, and the next begins anew', async () => {
    const { started, compare } = createComparisons()
    const cache = createDeltaCache()
    const leave = new AbortController()
    const leaving = cache.get('a b', compare, { signal: leave.signal })
    await turn()
    leave.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(started[0]!.options.signal!.aborted).toBe(true)
    const next = cache.get('a b', compare, {})
    await turn()
    started[1]!.end(map)
    expect(await next).toBe(map)
  })

  test('who has left before asking starts nothing', async () => {
    const { started, compare } = createComparisons()
    const asking = createDeltaCache().get('a b', compare, { signal: AbortSignal.abort() })
    await expect(asking).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(started).toEqual([])
  })

  test('a failure reaches all who wait, and is not kept', async () => {
    const { started, compare } = createComparisons()
    const cache = createDeltaCache()
    const asking = Promise.allSettled([cache.get('a', compare, {}), cache.get('a', compare, {})])
    await turn()
    started[0]!.end(new Error('lost'))
    expect((await asking).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const again = cache.get('a', compare, {})
    await turn()
    started[1]!.end(map)
    expect(await again).toBe(map)
  })

  test('those asked for least recently go when there are too many runs', async () => {
    const cache = createDeltaCache(25)
    let compared = ''
    const ask = (key: string) =>
      cache.get(
        key,
        async () => {
          compared += key
          return mapOfRuns(10)
        },
        {},
      )
    for (const key of 'ababcab') await ask(key)
    // c pushed a out, then a pushed b out, then b.
    expect(compared).toBe('abcab')
  })
})
