import { expect, test } from 'vitest'
import { createBlockMapBuilder } from '../../../../src/disk/block-map.ts'
import { createMapCache } from '../../../../src/store/reading/map-cache.ts'

const mapOf = (runs: number) => {
  const builder = createBlockMapBuilder()
  for (let run = 0; run < runs; run += 1) builder.add(1, run % 2 === 0 ? 'data' : 'hole')
  return builder.finish()
}

test('maps are kept up to a number of runs; the one least recently asked for goes first', async () => {
  const cache = createMapCache(10)
  const built: string[] = []
  const get = (contentKey: string, runs: number) =>
    cache.get(contentKey, async () => {
      built.push(contentKey)
      return mapOf(runs)
    })
  await get('a', 4)
  await get('b', 4)
  await get('a', 4)
  await get('c', 4)
  expect(built).toEqual(['a', 'b', 'c'])
  await get('a', 4)
  await get('b', 4)
  expect(built).toEqual(['a', 'b', 'c', 'b'])
})

test('simultaneous askers share one build, and a failed build is not kept', async () => {
  const cache = createMapCache()
  let builds = 0
  const build = async () => {
    builds += 1
    if (builds === 1) throw new Error('unreadable')
    return mapOf(1)
  }
  const asked = await Promise.allSettled([cache.get('a', build), cache.get('a', build)])
  expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect((await cache.get('a', build)).runCount).toBe(1)
  expect(builds).toBe(2)
})

test('a map that is there is shown without being made, and forgotten', async () => {
  const cache = createMapCache()
  const map = mapOf(1)
  expect(cache.peek('a')).toBeUndefined()
  await cache.get('a', async () => map)
  expect(cache.peek('a')).toBe(map)
  cache.forget('a')
  expect(cache.peek('a')).toBeUndefined()
  const next = mapOf(1)
  expect(await cache.get('a', async () => next)).toBe(next)
})
