import { describe, expect, test } from 'vitest'
import { collectBlockMap, createBlockMapBuilder } from '../../../src/disk/block-map.ts'
import { mapEntryOf, writeRunsJson } from '../../../src/disk/block-map-json.ts'
import { coalesce } from '../../../src/disk/extents.ts'
import { createStepCounter, STEPS_PER_PAUSE } from '../../../src/disk/step-counter.ts'
import { vhd } from '../../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../../src/image/memory-image.ts'
import { MiB, SECTOR_SIZE } from '../../../src/units.ts'
import { turnsDuring } from '../../support/event-loop.ts'
import { buildVhd } from '../../support/vhd-images.ts'

test('steps are counted, and others have their turn after each so many', async () => {
  const count = createStepCounter(10)
  for (let step = 1; step < 10; step += 1) expect(count()).toBe(undefined)
  expect(await turnsDuring(async () => count())).toBe(1)
  expect(count(9)).toBe(undefined)
  expect(count(1)).toBeInstanceOf(Promise)
  expect(count(1000)).toBeInstanceOf(Promise)
})

describe('others have their turn while extents are walked through', () => {
  const runs = 20 * STEPS_PER_PAUSE

  test('of a map in memory', async () => {
    const builder = createBlockMapBuilder()
    for (let run = 0; run < runs; run += 1) builder.add(512, run % 2 === 0 ? 'data' : 'hole')
    const map = builder.finish()
    const turns = await turnsDuring(async () => {
      let found = 0
      for await (const { length } of coalesce(map.runs())) found += length / 512
      expect(found).toBe(runs)
    })
    expect(turns).toBeGreaterThanOrEqual(20)
  })

  test('of an answer as JSON', async () => {
    const builder = createBlockMapBuilder()
    for (let run = 0; run < runs; run += 1) builder.add(512, run % 2 === 0 ? 'data' : 'hole')
    const map = builder.finish()
    const turns = await turnsDuring(async () => {
      let length = 0
      for await (const piece of writeRunsJson(map.runs(), mapEntryOf, 65_536))
        length += piece.length
      expect(length).toBeGreaterThan(runs * 50)
    })
    expect(turns).toBeGreaterThanOrEqual(20)
  })

  test('of a VHD whose bitmaps have a run for each sector', async () => {
    const blocks = runs / 4096
    const written = Array.from({ length: 2048 }, (_, index) => [index * 2, index * 2 + 1] as const)
    const { bytes } = buildVhd({
      size: blocks * 2 * MiB,
      blocks: Array.from({ length: blocks }, (_, block) => ({ block, written })),
    })
    const disk = await vhd.open(createMemoryImage(bytes))
    const turns = await turnsDuring(async () => {
      const map = await collectBlockMap(disk)
      expect(map.runCount).toBe(runs)
      expect(map.countBytes('data')).toBe((runs / 2) * SECTOR_SIZE)
    })
    expect(turns).toBeGreaterThanOrEqual(20)
  })
})
