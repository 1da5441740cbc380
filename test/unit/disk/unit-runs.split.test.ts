// Runs of units built by hand, grouped and split.

import { expect, test } from 'vitest'
import { createRunBuilder, groupUnitRuns, splitUnitRuns } from '../../../src/disk/unit-runs.ts'

test('units are split into smaller ones, clipped where the disk ends', () => {
  const builder = createRunBuilder()
  builder.add(1, 3)
  builder.add(7, 8)
  const split = splitUnitRuns(builder.finish(), 32, 250)
  expect([...split.between(0, Number.MAX_SAFE_INTEGER)]).toEqual([
    { unit: 32, length: 64, rank: 0 },
    { unit: 224, length: 26, rank: 64 },
  ])
  expect(split.count).toBe(90)
})

test('what is split and grouped again is what it was', () => {
  const builder = createRunBuilder()
  builder.add(2, 5)
  builder.add(5, 6)
  builder.add(9, 10)
  const again = groupUnitRuns(splitUnitRuns(builder.finish(), 4, 40), 4)
  expect([...again.between(0, 100)]).toEqual([
    { unit: 2, length: 4, rank: 0 },
    { unit: 9, length: 1, rank: 4 },
  ])
})
