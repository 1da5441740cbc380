import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bitRuns,
  fillBits,
  isFull,
  sectorsInside,
} from '../../../../src/formats/vhd/sector-bitmap.ts'

const bits = fc.array(fc.boolean(), { minLength: 1, maxLength: 200 })

/** Most significant first, one at a time: the slow obvious path. */
const bitmapOf = (values: readonly boolean[]): Uint8Array => {
  const bitmap = new Uint8Array(Math.ceil(values.length / 8))
  for (const [index, value] of values.entries()) {
    if (value) bitmap[index >> 3]! |= 0x80 >> (index & 7)
  }
  return bitmap
}

describe('sector bitmap', () => {
  test('its first bit is the most significant', () => {
    expect([...bitRuns(new Uint8Array([0x80, 0x01]), 0, 16)]).toEqual([
      { from: 0, to: 1, isSet: true },
      { from: 1, to: 15, isSet: false },
      { from: 15, to: 16, isSet: true },
    ])
  })

  test('runs of any range are those of the bits one by one', () => {
    fc.assert(
      fc.property(bits, fc.nat(), fc.nat(), (values, first, second) => {
        const [from, to] = [first % values.length, second % (values.length + 1)].toSorted(
          (one, other) => one - other,
        ) as [number, number]
        const runs = [...bitRuns(bitmapOf(values), from, to)]
        const unrolled = runs.flatMap((run) => Array<boolean>(run.to - run.from).fill(run.isSet))
        expect(unrolled).toEqual(values.slice(from, to))
        expect(runs.every((run, index) => run.isSet !== runs[index + 1]?.isSet)).toBe(true)
      }),
    )
  })

  test('filling a range changes that range alone', () => {
    fc.assert(
      fc.property(bits, fc.nat(), fc.nat(), fc.boolean(), (values, first, second, isSet) => {
        const [from, to] = [first % values.length, second % (values.length + 1)].toSorted(
          (one, other) => one - other,
        ) as [number, number]
        const bitmap = bitmapOf(values)
        fillBits(bitmap, { from, to, isSet })
        expect(bitmap).toEqual(
          bitmapOf(values.toSpliced(from, to - from, ...Array<boolean>(to - from).fill(isSet))),
        )
      }),
    )
  })

  test('is full where all counted bits are set', () => {
    fc.assert(
      fc.property(bits, fc.nat(), (values, index) => {
        const count = index % (values.length + 1)
        expect(isFull(bitmapOf(values), count)).toBe(!values.slice(0, count).includes(false))
      }),
    )
    expect(isFull(new Uint8Array(512).fill(0xff), 4096)).toBe(true)
  })

  test('counts only the sectors inside the disk', () => {
    expect(sectorsInside(0, 2 << 20, 5 << 20)).toBe(4096)
    expect(sectorsInside(2, 2 << 20, 5 << 20)).toBe(2048)
    expect(sectorsInside(2, 2 << 20, (4 << 20) + 512)).toBe(1)
  })
})
