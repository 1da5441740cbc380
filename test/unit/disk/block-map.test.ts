// Block maps against a naive array of kinds, their JSON, and chains read through them.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlockMap, MapRun } from '../../../src/disk/block-map.ts'
import { collectBlockMap, createBlockMapBuilder } from '../../../src/disk/block-map.ts'
import { overlayBlockMap } from '../../../src/disk/block-map-sets.ts'
import { readBlockMapJson, writeBlockMapJson } from '../../../src/disk/block-map-json.ts'
import { createChainDisk, createChainOnDemand } from '../../../src/disk/chain-disk.ts'
import type { ExtentKind } from '../../../src/disk/extents.ts'
import { diskLaws } from '../../laws/disk-laws.ts'
import type { PatternPart } from '../../support/disks.ts'
import { createPatternDisk, cutInChunks, expectSameBytes, readAll } from '../../support/disks.ts'

const kind = fc.constantFrom<ExtentKind>('data', 'zero', 'hole')
const parts = fc.array(fc.tuple(kind, fc.integer({ min: 1, max: 9 })), {
  minLength: 1,
  maxLength: 20,
})

const mapOf = (runs: readonly (readonly [ExtentKind, number])[]): BlockMap => {
  const builder = createBlockMapBuilder()
  for (const [kind, length] of runs) builder.add(length, kind)
  return builder.finish()
}

/** One `kind@depth` for each byte. */
const flatten = (runs: Iterable<MapRun>): string[] =>
  [...runs].flatMap(({ length, kind, depth }) => Array<string>(length).fill(`${kind}@${depth}`))

const textOf = (map: BlockMap): Uint8Array => Buffer.from([...writeBlockMapJson(map)].join(''))

describe('block map', () => {
  test('overlay is what a byte-by-byte lookup gives', () => {
    fc.assert(
      fc.property(parts, parts, (upperParts, lowerParts) => {
        const upper = mapOf(upperParts)
        const lower = mapOf(lowerParts)
        const below = flatten(lower.runs())
        const expected = flatten(upper.runs()).map((label, at) => {
          if (label !== 'hole@0') return label
          return (below[at] ?? 'hole@0').replace(/^(data|zero)@0/, '$1@1')
        })
        const overlaid = overlayBlockMap(upper, lower)
        expect(overlaid.size).toBe(upper.size)
        expect(flatten(overlaid.runs())).toEqual(expected)
      }),
    )
  })

  test('runs of a range are the whole, clipped', () => {
    fc.assert(
      fc.property(parts, fc.nat(), fc.nat(), (mapParts, a, b) => {
        const map = mapOf(mapParts)
        const offset = a % map.size
        const length = b % (map.size - offset + 1)
        const whole = flatten(map.runs())
        expect(flatten(map.runs({ offset, length }))).toEqual(whole.slice(offset, offset + length))
      }),
    )
  })

  test('neighbours of one kind are one run, and bytes are counted by kind', () => {
    const map = mapOf([
      ['data', 3],
      ['data', 4],
      ['hole', 0],
      ['zero', 5],
      ['data', 1],
    ])
    expect(map.runCount).toBe(3)
    expect([map.countBytes('data'), map.countBytes('zero'), map.countBytes('hole')]).toEqual([
      8, 5, 0,
    ])
  })

  test('its JSON reads back, cut in any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 50 }), async (mapParts, chunk) => {
        const map = mapOf(mapParts)
        const read = await readBlockMapJson(cutInChunks(textOf(map), [chunk]), map.size)
        expect(flatten(read.runs())).toEqual(flatten(map.runs()))
      }),
    )
  })

  test('a map by qemu-img reads: holes of a raw file are present zeros', async () => {
    const text = `[{ "start": 0, "length": 4096, "depth": 0, "present": true, "zero": false, "data": true, "compressed": false, "offset": 0},
{ "start": 4096, "length": 8192, "depth": 0, "present": true, "zero": true, "data": false, "compressed": false, "offset": 4096}]`
    const map = await readBlockMapJson(cutInChunks(Buffer.from(text), [7]), 12_288)
    expect([...map.runs()].map((run) => run.kind)).toEqual(['data', 'zero'])
  })

  test.each([
    ['a gap', '[{"start":512,"length":512,"data":true}]', /entry 0 starts at 512, expected 0/],
    ['too short', '[{"start":0,"length":512,"data":true}]', /covers 512 bytes of 1024/],
    ['no array', '{"start":0}', /block map/],
    ['cut text', '[{"start":0,"length":1024,"data":true}', /block map/],
    ['a word for data', '[{"start":0,"length":1024,"data":"yes"}]', /true or false/],
    ['a negative length', '[{"start":0,"length":-512,"data":true}]', /whole numbers/],
    ['a number', '[7]', /entry 0 is not an object/],
    ['nothing', '', /block map/],
  ])('JSON with %s is refused', async (_name, text, message) => {
    const reading = readBlockMapJson(cutInChunks(Buffer.from(text), [5]), 1024)
    await expect(reading).rejects.toMatchObject({
      code: 'IMPORT_ERROR_GENERIC',
      message: expect.stringMatching(message),
    })
  })
})

const top: readonly PatternPart[] = [
  ['data', 4096],
  ['hole', 65_536],
  ['zero', 8192],
  ['hole', 131_072],
]
const bottom: readonly PatternPart[] = [
  ['hole', 4096],
  ['data', 100_352],
  ['hole', 4096],
]

const openChain = async (size: number, isOnDemand = false) => {
  const disks = [createPatternDisk(top, 1), createPatternDisk(bottom, 2)]
  const layers = await Promise.all(
    disks.map(async (disk) => ({ disk, map: await collectBlockMap(disk) })),
  )
  // The lower one has its map, the upper one is asked.
  if (isOnDemand) return createChainOnDemand([{ disk: disks[0]! }, layers[1]!], size)
  return createChainDisk(layers, size)
}

describe.each([
  ['chain disk', false],
  ['chain on demand', true],
])('%s', (_name, isOnDemand) => {
  diskLaws('a chain of two', () => openChain(208_896, isOnDemand))

  test.each([208_896, 512 * 100, 512 * 1000])(
    'at %i bytes each stretch comes from its layer',
    async (size) => {
      const chain = await openChain(size, isOnDemand)
      const expected = new Uint8Array(Math.max(size, 208_896))
      const [upper, lower] = [
        await readAll(createPatternDisk(top, 1)),
        await readAll(createPatternDisk(bottom, 2)),
      ]
      expected.set(lower)
      expected.set(upper.subarray(0, 4096))
      expected.fill(0, 4096 + 65_536, 4096 + 65_536 + 8192)
      expectSameBytes(await readAll(chain), expected.subarray(0, size))
    },
  )
})
