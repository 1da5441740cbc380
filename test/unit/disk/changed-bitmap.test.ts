// The bitmap of changed blocks, against a naive one bit by bit.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createBlockMapBuilder } from '../../../src/disk/block-map.ts'
import { encodeChangedBlocks } from '../../../src/disk/changed-bitmap.ts'
import type { ExtentKind } from '../../../src/disk/extents.ts'
import type { LongText } from '../../../src/disk/long-text.ts'
import { KiB, TiB } from '../../../src/units.ts'

const block = 64 * KiB

type Part = readonly [ExtentKind, number]

const mapOf = (parts: readonly Part[]) => {
  const builder = createBlockMapBuilder()
  for (const [kind, length] of parts) builder.add(length, kind)
  return builder.finish()
}

const bitsOf = (text: LongText): boolean[] =>
  [...Buffer.from(text.toString(), 'base64')].flatMap((byte) =>
    Array.from({ length: 8 }, (_, bit) => (byte & (0x80 >> bit)) !== 0),
  )

describe('list of changed blocks', () => {
  test('a bit for each block that holds something, the first one the most significant', () => {
    const kind = fc.constantFrom<ExtentKind>('data', 'zero', 'hole')
    // In sectors: runs begin and end inside of blocks too.
    const length = fc.integer({ min: 1, max: 3000 }).map((sectors) => sectors * 512)
    fc.assert(
      fc.property(fc.array(fc.tuple(kind, length), { minLength: 1, maxLength: 12 }), (parts) => {
        const map = mapOf(parts)
        const bits = bitsOf(encodeChangedBlocks(map))
        const runs = [...map.runs()].filter((run) => run.kind !== 'hole')
        const expected = bits.map((_, index) =>
          runs.some(
            ({ offset, length }) => offset < (index + 1) * block && offset + length > index * block,
          ),
        )
        expect(bits).toEqual(expected)
        expect(bits.length % 32).toBe(0)
        expect(bits.length).toBeGreaterThanOrEqual(map.size / block)
        expect(bits.length).toBeLessThan(map.size / block + 32)
      }),
    )
  })

  test('the first and the last block of a small disk', () => {
    const map = mapOf([
      ['data', 1],
      ['hole', 9 * block],
      ['zero', 512],
    ])
    expect(Buffer.from(encodeChangedBlocks(map).toString(), 'base64').toString('hex')).toBe(
      '80400000',
    )
  })

  test('a disk of 16 TiB is 32 MiB of bitmap, right across the pieces that it is made in', () => {
    const [first, last] = [3 * TiB + 5 * block, 8 * TiB]
    const map = mapOf([
      ['hole', first],
      ['data', last - first],
      ['hole', 16 * TiB - last - block],
      ['data', block],
    ])
    const bitmap = Buffer.from(encodeChangedBlocks(map).toString(), 'base64')
    expect(bitmap.length).toBe(32 * KiB * KiB)
    const from = first / block / 8
    const expected = Buffer.alloc(bitmap.length)
    expected.fill(0xff, Math.ceil(from), last / block / 8)
    expected[Math.floor(from)] = 0x07
    expected[expected.length - 1] = 0x01
    expect(bitmap.equals(expected)).toBe(true)
  })
})
