import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { NamedRegion } from '../../../../src/formats/vhd/block-table.ts'
import {
  blockLayoutOf,
  blocksInFileOrder,
  checkTable,
  readTable,
} from '../../../../src/formats/vhd/block-table.ts'
import { KiB, MiB } from '../../../../src/units.ts'

const unused = 0xffffffff
const layout = blockLayoutOf(2 * MiB)

interface Check {
  readonly sectors: readonly number[]
  readonly end?: number
  readonly metadata?: readonly NamedRegion[]
}

const check = ({ sectors, end = 1e12, metadata = [] }: Check) => {
  const entries = Uint32Array.from(sectors)
  checkTable({
    entries,
    blocks: blocksInFileOrder(entries),
    layout,
    metadata,
    end,
    what: 'Cannot test',
  })
}

const isRefused = (table: Check): boolean => {
  try {
    check(table)
    return false
  } catch {
    return true
  }
}

test('a block is its bitmap in whole sectors, then its data', () => {
  expect(blockLayoutOf(512 * KiB)).toEqual({
    blockSize: 524_288,
    bitmapSize: 512,
    storedSize: 524_800,
  })
  expect(layout.storedSize).toBe(4097 * 512)
  expect(blockLayoutOf(4 * MiB).bitmapSize).toBe(1024)
  expect(blockLayoutOf(256 * MiB).bitmapSize).toBe(64 * KiB)
})

test('a table is read in pieces, most significant byte first', async () => {
  const count = 40_000
  const file = Buffer.alloc(count * 4)
  for (let index = 0; index < count; index += 1) file.writeUInt32BE(index * 100_003, index * 4)
  const reads: number[] = []
  const entries = await readTable(count, async (offset, target) => {
    reads.push(target.length)
    target.set(file.subarray(offset, offset + target.length))
  })
  expect(entries).toEqual(Uint32Array.from({ length: count }, (_, index) => index * 100_003))
  expect(Math.max(...reads)).toBeLessThanOrEqual(64 * KiB)
  expect(await readTable(0, async () => {})).toEqual(new Uint32Array(0))
})

describe('blocks in the order of the file', () => {
  test('are those that are used', () => {
    expect([...blocksInFileOrder(Uint32Array.of(unused, 10, unused, 5000))]).toEqual([1, 3])
    expect([...blocksInFileOrder(Uint32Array.of(9000, unused, 10, 4500))]).toEqual([2, 3, 0])
    expect([...blocksInFileOrder(new Uint32Array(3).fill(unused))]).toEqual([])
  })

  test('are sorted by sector wherever they do not overlap', () => {
    const places = fc.uniqueArray(fc.integer({ min: 0, max: 4_190_000 }), {
      maxLength: 60,
    })
    fc.assert(
      fc.property(places, (order) => {
        const entries = Uint32Array.from(order, (place) => place * 1025)
        const sorted = [...blocksInFileOrder(entries)].map((block) => entries[block])
        expect(sorted).toEqual([...entries].toSorted((one, other) => one - other))
      }),
    )
  })

  test('reach to the last sector and the last of 4 Mi entries', () => {
    const entries = new Uint32Array(4 * MiB).fill(unused)
    entries[4 * MiB - 1] = 16
    entries[0] = 0xfffffffe
    expect([...blocksInFileOrder(entries)]).toEqual([4 * MiB - 1, 0])
  })
})

describe('a table', () => {
  test('of blocks side by side in any order is right', () => {
    expect(() => check({ sectors: [4097 * 2 + 8, 8, unused, 4097 + 8] })).not.toThrow()
  })

  test.each([
    ['the same place twice', [100, 100], 'blocks 0 and 1, 2097664 bytes each, overlap at 0xc800'],
    ['a sector short', [100 + 4096, 100], 'blocks 1 and 0'],
    ['far apart in the table', [8, unused, 100_000, 4104], 'blocks 0 and 3'],
    ['less than 1024 sectors apart', [50_500, 50_000], 'overlap at'],
    ['downwards inside 1024 sectors', [51_199, 51_198, 51_197], 'overlap at'],
  ])('of blocks that overlap is refused: %s', (_name, sectors, message) => {
    expect(() => check({ sectors })).toThrow(message)
  })

  test('any overlap is found, wherever the blocks are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 1, maxLength: 12 }),
        (sectors) => {
          const overlaps = sectors.some((one, index) =>
            sectors.some((other, place) => place > index && Math.abs(one - other) < 4097),
          )
          expect(isRefused({ sectors })).toBe(overlaps)
        },
      ),
    )
  })

  test('of a block that leaves the image is refused', () => {
    const end = (8 + 4097) * 512
    expect(() => check({ sectors: [8], end })).not.toThrow()
    expect(() => check({ sectors: [8], end: end - 512 })).toThrow(
      'Cannot test: block 0 of 2097664 bytes at 0x1000 leaves the image, whose content ends at 0x201000',
    )
    expect(() => check({ sectors: [unused, 0xfffffffe], end: 1e9 })).toThrow(
      'block 1 of 2097664 bytes at 0x1fffffffc00 leaves',
    )
  })

  test.each([
    ['on its start', 0, 8 * 512 + 1],
    ['on its end', (8 + 4096) * 512 + 511, 512],
    ['in its middle', 100_000, 1],
    ['around it', 0, 10_000_000],
  ])('of a block that lies on metadata is refused: %s', (_name, offset, length) => {
    const metadata = [{ name: 'table', offset, length }]
    expect(() => check({ sectors: [unused, 8], metadata })).toThrow(
      `block 1 at 0x1000 overlaps the table, ${length} bytes at 0x${offset.toString(16)}`,
    )
  })

  test.each([
    ['before it', 0, 8 * 512],
    ['after it', (8 + 4097) * 512, 512],
    ['between two', (8 + 4097) * 512, 1000 * 512],
    ['empty', 100_000, 0],
  ])('of blocks with metadata beside them is right: %s', (_name, offset, length) => {
    const metadata = [{ name: 'header', offset, length }]
    expect(() => check({ sectors: [8 + 4097 + 1000, 8], metadata })).not.toThrow()
  })
})
