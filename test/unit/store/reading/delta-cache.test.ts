import { expect, test } from 'vitest'
import { emptyBlockMap } from '../../../../src/disk/block-map.ts'
import { createDeltaCache } from '../../../../src/store/reading/delta-cache.ts'

test('a comparison is made once for each pair of contents, and told how it goes', async () => {
  const cache = createDeltaCache()
  const told: number[] = []
  const ask = (key: string) =>
    cache.get(
      key,
      async ({ onProgress }) => {
        onProgress?.(1)
        return emptyBlockMap(512)
      },
      { onProgress: (fraction) => told.push(fraction) },
    )
  const first = await ask('a b')
  expect(await ask('a b')).toBe(first)
  expect(await ask('b a')).not.toBe(first)
  expect(told).toEqual([1, 1])
})
