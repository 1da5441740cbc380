// What every Disk keeps, whatever it reads from.

import { expect, test } from 'vitest'
import type { Disk } from '../../src/disk/disk.ts'
import { readRanges } from '../../src/disk/read-ranges.ts'
import { isZero } from '../../src/disk/zero.ts'
import { expectSameBytes, listExtents, readRange } from '../support/disks.ts'

/**
 * @param open a fresh disk for each test, at least 4 KiB, with data and something else on it
 */
export const diskLaws = (name: string, open: () => Promise<Disk>): void => {
  const withDisk = async (use: (disk: Disk) => Promise<void>): Promise<void> => {
    const disk = await open()
    try {
      await use(disk)
    } finally {
      await disk.close()
    }
  }

  test(`${name}: extents are ascending, gap-free, coalesced and cover the disk`, () =>
    withDisk(async (disk) => {
      const extents = await listExtents(disk)
      let end = 0
      let last = ''
      for (const extent of extents) {
        expect(extent.offset).toBe(end)
        expect(extent.length).toBeGreaterThan(0)
        expect(extent.kind).not.toBe(last)
        end += extent.length
        last = extent.kind
      }
      expect(end).toBe(disk.size)
    }))

  test(`${name}: extents of any range are those of the whole, clipped`, () =>
    withDisk(async (disk) => {
      const whole = await listExtents(disk)
      const cuts = new Set([0, 512, disk.size - 512, disk.size])
      for (const { offset, length } of whole.slice(0, 6)) {
        cuts.add(offset).add(offset + length)
        cuts.add(Math.min(disk.size, offset + 1)).add(offset + length - 1)
      }
      for (const from of cuts) {
        for (const to of cuts) {
          if (to <= from) continue
          const expected = whole
            .map((extent) => ({
              kind: extent.kind,
              offset: Math.max(extent.offset, from),
              end: Math.min(extent.offset + extent.length, to),
            }))
            .filter(({ offset, end }) => end > offset)
            .map(({ kind, offset, end }) => ({ offset, length: end - offset, kind }))
          expect(await listExtents(disk, { offset: from, length: to - from })).toEqual(expected)
        }
      }
      expect(await listExtents(disk, { offset: 512, length: 0 })).toEqual([])
    }))

  test(`${name}: holes and zero extents read as zeros`, () =>
    withDisk(async (disk) => {
      for (const { offset, length, kind } of await listExtents(disk)) {
        if (kind === 'data') continue
        expect(isZero(await readRange(disk, offset, Math.min(length, 1 << 20)))).toBe(true)
      }
    }))

  test(`${name}: any range reads as a slice of the whole`, () =>
    withDisk(async (disk) => {
      const size = Math.min(disk.size, 8 << 20)
      const whole = await readRange(disk, 0, size)
      for (const offset of [0, 1, 511, 513, 4095, 65_535, Math.floor(size / 2) + 3, size - 7]) {
        for (const length of [0, 1, 7, 512, 70_001]) {
          if (offset + length > size) continue
          const part = await readRange(disk, offset, length)
          expectSameBytes(part, whole.subarray(offset, offset + length), `${length} at ${offset}`)
        }
      }
    }))

  test(`${name}: ranges read together are those read one by one`, () =>
    withDisk(async (disk) => {
      const size = Math.min(disk.size, 4 << 20)
      const whole = await readRange(disk, 0, size)
      const everySecond = Array.from({ length: Math.floor(size / 2048) }, (_, index) => ({
        offset: index * 2048 + (index % 3),
        length: 1024,
      }))
      const inOrders = [
        everySecond,
        everySecond.toReversed(),
        [{ offset: 0, length: size }, ...everySecond.slice(0, 3)],
        [
          { offset: 512, length: 0 },
          { offset: size - 1, length: 1 },
          { offset: 0, length: 0 },
          { offset: 3, length: 700 },
          { offset: 3, length: 0 },
          { offset: 3, length: 600 },
        ],
        [],
      ]
      for (const ranges of inOrders) {
        const parts = ranges.map(({ offset, length }) => whole.subarray(offset, offset + length))
        const expected = Buffer.concat(parts)
        const bytes = new Uint8Array(expected.length).fill(0xa5)
        await readRanges(disk, ranges, bytes)
        expectSameBytes(bytes, expected, `${ranges.length} ranges`)
      }
    }))

  test(`${name}: ranges read together keep to the disk, the target and the signal`, () =>
    withDisk(async (disk) => {
      const first = { offset: 0, length: 1 }
      const past = { offset: disk.size - 1, length: 2 }
      const two = new Uint8Array(2)
      await expect(readRanges(disk, [first, past], new Uint8Array(3))).rejects.toThrow(RangeError)
      await expect(readRanges(disk, [first], two)).rejects.toThrow(RangeError)
      await expect(readRanges(disk, [first, first, first], two)).rejects.toThrow(RangeError)
      const signal = AbortSignal.abort(new Error('enough'))
      await expect(readRanges(disk, [first, first], two, signal)).rejects.toMatchObject({
        code: 'TASK_CANCELLED',
      })
    }))

  test(`${name}: many reads at once give what one after the other gives`, () =>
    withDisk(async (disk) => {
      const size = Math.min(disk.size, 4 << 20)
      const whole = await readRange(disk, 0, size)
      const step = 100_000
      const offsets = Array.from({ length: Math.ceil(size / step) }, (_, index) => index * step)
      const parts = await Promise.all(
        offsets.map((offset) => readRange(disk, offset, Math.min(step, size - offset))),
      )
      expectSameBytes(Buffer.concat(parts), whole)
    }))

  test(`${name}: a range past the end is a RangeError`, () =>
    withDisk(async (disk) => {
      await expect(disk.read(disk.size - 1, new Uint8Array(2))).rejects.toThrow(RangeError)
      await expect(disk.read(-1, new Uint8Array(1))).rejects.toThrow(RangeError)
      await expect(listExtents(disk, { offset: 0, length: disk.size + 1 })).rejects.toThrow(
        RangeError,
      )
    }))

  test(`${name}: an aborted signal stops a read`, () =>
    withDisk(async (disk) => {
      const signal = AbortSignal.abort(new Error('enough'))
      await expect(disk.read(0, new Uint8Array(1), signal)).rejects.toMatchObject({
        code: 'TASK_CANCELLED',
      })
    }))

  test(`${name}: close may be called twice`, async () => {
    const disk = await open()
    await readRange(disk, 0, 512)
    await disk.close()
    await expect(disk.close()).resolves.toBeUndefined()
  })
}
