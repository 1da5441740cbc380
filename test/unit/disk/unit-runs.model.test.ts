// UnitRuns and RangeSet against naive arrays of booleans.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ExtentKind } from '../../../src/disk/extents.ts'
import { createRangeSet } from '../../../src/disk/range-set.ts'
import { collectUnitRuns, groupUnitRuns } from '../../../src/disk/unit-runs.ts'
import { createPatternDisk } from '../../support/disks.ts'

const kind = fc.constantFrom<ExtentKind>('data', 'zero', 'hole')
const parts = fc.array(fc.tuple(kind, fc.integer({ min: 1, max: 40 })), {
  minLength: 1,
  maxLength: 200,
})

describe('unit runs', () => {
  test('rank, runAt and between are those of a list of present units', async () => {
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 9 }), async (layout, unitSize) => {
        const disk = createPatternDisk(layout)
        const present: number[] = []
        const bytes = layout.flatMap(([kind, length]) => Array<ExtentKind>(length).fill(kind))
        for (let unit = 0; unit * unitSize < disk.size; unit += 1) {
          const inside = bytes.slice(unit * unitSize, (unit + 1) * unitSize)
          if (inside.includes('data')) present.push(unit)
        }
        const runs = await collectUnitRuns(disk, unitSize, ['data'])
        expect(runs.count).toBe(present.length)
        for (let unit = 0; unit * unitSize <= disk.size; unit += 1) {
          expect(runs.rank(unit)).toBe(present.filter((other) => other < unit).length)
        }
        for (const [rank, unit] of present.entries()) {
          const run = runs.runAt(rank)
          expect([run.unit, run.rank]).toEqual([unit, rank])
          expect(present[rank + run.length - 1]).toBe(unit + run.length - 1)
          expect(present[rank + run.length]).not.toBe(unit + run.length)
        }
        const from = present[1] ?? 0
        const to = (present.at(-2) ?? 0) + 1
        const between = [...runs.between(from, to)].flatMap(({ unit, length, rank }) =>
          Array.from({ length }, (_, index) => [unit + index, rank + index]),
        )
        const expected = [...present.entries()].filter(([, unit]) => unit >= from && unit < to)
        expect(between).toEqual(expected.map(([rank, unit]) => [unit, rank]))
        const groups = [...groupUnitRuns(runs, 4).between(0, Infinity)].flatMap(
          ({ unit, length }) => Array.from({ length }, (_, index) => unit + index),
        )
        expect(groups).toEqual([...new Set(present.map((unit) => Math.floor(unit / 4)))])
      }),
    )
  })

  test('a rank past the last is a RangeError', async () => {
    const runs = await collectUnitRuns(createPatternDisk([['data', 8]]), 8, ['data'])
    expect(() => runs.runAt(1)).toThrow(RangeError)
  })
})

describe('range set', () => {
  test('add, remove and within are those of an array of booleans', () => {
    const step = fc.record({
      add: fc.boolean(),
      offset: fc.integer({ min: 0, max: 90 }),
      length: fc.integer({ min: 1, max: 30 }),
    })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const set = createRangeSet()
        const model = Array<boolean>(120).fill(false)
        for (const { add, offset, length } of steps) {
          model.fill(add, offset, offset + length)
          if (add) set.add({ offset, length })
          else set.remove({ offset, length })
        }
        for (const [offset, length] of [
          [0, 120],
          [10, 50],
          [33, 1],
        ] as const) {
          const found = Array<boolean>(120).fill(false)
          let last = -1
          for (const range of set.within({ offset, length })) {
            expect(range.offset).toBeGreaterThan(last)
            found.fill(true, range.offset, range.offset + range.length)
            last = range.offset + range.length
          }
          expect(found.slice(offset, offset + length)).toEqual(model.slice(offset, offset + length))
        }
      }),
    )
  })
})
