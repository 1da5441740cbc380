// Maps put together, against a naive array of one label a byte; and how many runs that visits.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlockMap, MapRun } from '../../../src/disk/block-map.ts'
import { collectBlockMap, createBlockMapBuilder } from '../../../src/disk/block-map.ts'
import {
  clipBlockMap,
  intersectBlockMap,
  overlayChain,
  subtractBlockMap,
  unionBlockMap,
} from '../../../src/disk/block-map-sets.ts'
import type { ExtentKind } from '../../../src/disk/extents.ts'
import { createPatternDisk } from '../../support/disks.ts'

type Part = readonly [ExtentKind, number]

const kind = fc.constantFrom<ExtentKind>('data', 'zero', 'hole')
const parts = fc.array(fc.tuple(kind, fc.integer({ min: 1, max: 9 })), { maxLength: 20 })
const size = fc.nat(120)

const mapOf = (runs: readonly Part[]): BlockMap => {
  const builder = createBlockMapBuilder()
  for (const [kind, length] of runs) builder.add(length, kind)
  return builder.finish()
}

const flatten = (runs: Iterable<MapRun>): string[] =>
  [...runs].flatMap(({ length, kind, depth }) => Array<string>(length).fill(`${kind}@${depth}`))

/** The naive form: one label a byte, holes beyond the end. */
const labels = (map: BlockMap, size: number): string[] =>
  Array.from({ length: size }, (_, at) => flatten(map.runs())[at] ?? 'hole@0')

/** What each byte is by a rule, against what the operation gives. */
const expectByByte = (found: BlockMap, size: number, rule: (at: number) => string): void => {
  expect(found.size).toBe(size)
  expect(flatten(found.runs())).toEqual(Array.from({ length: size }, (_, at) => rule(at)))
  const runs = [...found.runs()]
  expect(runs.length).toBe(found.runCount)
  for (const [index, run] of runs.slice(1).entries()) {
    expect([run.kind, run.depth]).not.toEqual([runs[index]!.kind, runs[index]!.depth])
  }
}

describe('maps put together', () => {
  test('union: data where any holds something', () => {
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 6 }), size, (all, size) => {
        const flat = all.map((runs) => labels(mapOf(runs), size))
        expectByByte(unionBlockMap(all.map(mapOf), size), size, (at) =>
          flat.some((map) => map[at] !== 'hole@0') ? 'data@0' : 'hole@0',
        )
      }),
    )
  })

  test('a chain: the first that holds something, unless one above has ended', () => {
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 6 }), size, (all, size) => {
        const maps = all.map(mapOf)
        expectByByte(overlayChain(maps, size), size, (at) => {
          const ended = maps.findIndex((map) => map.size <= at)
          const above = ended === -1 ? maps : maps.slice(0, ended)
          const depth = above.findIndex((map) => flatten(map.runs())[at] !== 'hole@0')
          return depth === -1
            ? 'hole@0'
            : flatten(maps[depth]!.runs())[at]!.replace('0', `${depth}`)
        })
      }),
    )
  })

  test('intersection, difference and clip', () => {
    fc.assert(
      fc.property(parts, parts, size, (runs, maskRuns, size) => {
        const [map, mask] = [mapOf(runs), mapOf(maskRuns)]
        const [flat, masked] = [labels(map, 200), labels(mask, 200)]
        expectByByte(intersectBlockMap(map, mask), map.size, (at) =>
          masked[at] === 'hole@0' ? 'hole@0' : flat[at]!,
        )
        expectByByte(subtractBlockMap(map, mask), map.size, (at) =>
          masked[at] === 'hole@0' ? flat[at]! : 'hole@0',
        )
        expectByByte(clipBlockMap(map, size), size, (at) => flat[at]!)
      }),
    )
  })

  test('a disk is asked only within a mask', async () => {
    const disk = createPatternDisk([
      ['data', 40],
      ['hole', 8],
      ['zero', 20],
      ['data', 4],
    ])
    const asked: unknown[] = []
    const watched: typeof disk = {
      ...disk,
      extents(range) {
        asked.push(range)
        return disk.extents(range)
      },
    }
    const within = mapOf([
      ['hole', 30],
      ['data', 20],
      ['zero', 10],
      ['hole', 12],
    ])
    const map = await collectBlockMap(watched, within)
    expect([...map.runs()]).toEqual([
      { offset: 0, length: 30, kind: 'hole', depth: 0 },
      { offset: 30, length: 10, kind: 'data', depth: 0 },
      { offset: 40, length: 8, kind: 'hole', depth: 0 },
      { offset: 48, length: 12, kind: 'zero', depth: 0 },
      { offset: 60, length: 12, kind: 'hole', depth: 0 },
    ])
    expect(asked).toEqual([
      { offset: 30, length: 20 },
      { offset: 50, length: 10 },
    ])
  })
})

/** `map`, with its steps counted and no other way to its runs. */
const counted = (map: BlockMap, count: { steps: number }): BlockMap => ({
  ...map,
  runs: () => {
    throw new Error('runs were searched for')
  },
  cursor() {
    const inner = map.cursor()
    return Object.defineProperties({} as ReturnType<BlockMap['cursor']>, {
      kind: { get: () => inner.kind },
      depth: { get: () => inner.depth },
      end: { get: () => inner.end },
      next: {
        value() {
          count.steps += 1
          inner.next()
        },
      },
    })
  },
})

/** `runs` runs of data between holes, from `first` on, `step` apart. */
const striped = (runs: number, first: number, step: number): BlockMap => {
  const builder = createBlockMapBuilder()
  builder.add(first, 'hole')
  for (let run = 0; run < runs; run += 1) {
    builder.add(1, 'data')
    builder.add(step - 1, 'hole')
  }
  return builder.finish()
}

describe('steps', () => {
  test.each([
    ['intersection', intersectBlockMap],
    ['difference', subtractBlockMap],
  ])('%s visits each run of both once', (_name, operation) => {
    const count = { steps: 0 }
    const [one, other] = [striped(5000, 3, 10), striped(7000, 1, 7)]
    operation(counted(one, count), counted(other, count))
    expect(count.steps).toBeLessThanOrEqual(one.runCount + other.runCount)
  })

  test.each([
    ['union', unionBlockMap],
    ['chain', overlayChain],
  ])(
    '%s of 16 maps visits each run of each once, and makes no more than its result',
    (_name, operation) => {
      const count = { steps: 0 }
      const maps = Array.from({ length: 16 }, (_, index) => striped(500, index + 1, 20))
      const total = maps.reduce((sum, map) => sum + map.runCount, 0)
      const size = maps[0]!.size
      const joined = operation(
        maps.map((map) => counted(map, count)),
        size,
      )
      expect(count.steps).toBeLessThanOrEqual(total)
      expect(joined.runCount).toBeLessThanOrEqual(total)
    },
  )
})
