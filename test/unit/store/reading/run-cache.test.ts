// Maps are made once, shared by those who ask together, and stopped when nobody waits.

import { describe, expect, test } from 'vitest'
import type { BlockMap } from '../../../../src/disk/block-map.ts'
import { createBlockMapBuilder, emptyBlockMap } from '../../../../src/disk/block-map.ts'
import type { Asker } from '../../../../src/store/reading/run-cache.ts'
import { createRunCache } from '../../../../src/store/reading/run-cache.ts'

/** Makings that the test ends. */
const createMakings = () => {
  const started: { asker: Asker; end: (map: BlockMap | Error) => void }[] = []
  const make = (asker: Asker): Promise<BlockMap> =>
    new Promise((resolve, reject) => {
      const end = (map: BlockMap | Error): void => {
        if (map instanceof Error) reject(map)
        else resolve(map)
      }
      started.push({ asker, end })
      asker.signal?.addEventListener('abort', () => reject(asker.signal!.reason as Error))
    })
  return { started, make }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const map = emptyBlockMap(512)

const mapOfRuns = (runs: number): BlockMap => {
  const builder = createBlockMapBuilder()
  for (let run = 0; run < runs; run += 1) builder.add(1, run % 2 === 0 ? 'data' : 'hole')
  return builder.finish()
}

describe('run cache', () => {
  test('those who ask together share one making, and later ones its result', async () => {
    const { started, make } = createMakings()
    const cache = createRunCache(1000)
    const told: string[] = []
    const asking = ['one', 'other'].map((name) =>
      cache.get('a b', make, { onProgress: (done) => told.push(`${name} ${done}`) }),
    )
    await turn()
    started[0]!.asker.onProgress?.(0.5)
    started[0]!.end(map)
    expect(await Promise.all(asking)).toEqual([map, map])
    expect(await cache.get('a b', make, {})).toBe(map)
    expect(started.length).toBe(1)
    expect(told).toEqual(['one 0.5', 'other 0.5'])
  })

  test('one that leaves is told at once; the making goes on for the other', async () => {
    const { started, make } = createMakings()
    const cache = createRunCache(1000)
    const leave = new AbortController()
    const leaving = cache.get('a b', make, { signal: leave.signal })
    const staying = cache.get('a b', make, {})
    await turn()
    leave.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(started[0]!.asker.signal!.aborted).toBe(false)
    started[0]!.end(map)
    expect(await staying).toBe(map)
  })

  test('when the last one leaves it is stopped, and the next begins anew', async () => {
    const { started, make } = createMakings()
    const cache = createRunCache(1000)
    const leave = new AbortController()
    const leaving = cache.get('a b', make, { signal: leave.signal })
    await turn()
    leave.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(started[0]!.asker.signal!.aborted).toBe(true)
    const next = cache.get('a b', make, {})
    await turn()
    started[1]!.end(map)
    expect(await next).toBe(map)
  })

  test('who has left before asking starts nothing', async () => {
    const { started, make } = createMakings()
    const asking = createRunCache(1000).get('a b', make, { signal: AbortSignal.abort() })
    await expect(asking).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect(started).toEqual([])
  })

  test('a failure reaches all who wait, and is not kept', async () => {
    const { started, make } = createMakings()
    const cache = createRunCache(1000)
    const asking = Promise.allSettled([cache.get('a', make, {}), cache.get('a', make, {})])
    await turn()
    started[0]!.end(new Error('lost'))
    expect((await asking).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const again = cache.get('a', make, {})
    await turn()
    started[1]!.end(map)
    expect(await again).toBe(map)
  })

  test('those asked for least recently go when there are too many runs', async () => {
    const cache = createRunCache(25)
    let made = ''
    const ask = (key: string) =>
      cache.get(
        key,
        async () => {
          made += key
          return mapOfRuns(10)
        },
        {},
      )
    for (const key of 'ababcab') await ask(key)
    // c pushed a out, then a pushed b out, then b.
    expect(made).toBe('abcab')
  })
})
