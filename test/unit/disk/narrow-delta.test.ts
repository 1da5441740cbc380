// Narrowing by content: against a naive comparison, and what is read for it.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlockMap } from '../../../src/disk/block-map.ts'
import { createBlockMapBuilder } from '../../../src/disk/block-map.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import type { ByteRange } from '../../../src/disk/extents.ts'
import { createMemoryDisk } from '../../../src/disk/memory-disk.ts'
import { narrowChanges } from '../../../src/disk/narrow-delta.ts'
import { AppError } from '../../../src/errors.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../../src/units.ts'
import {
  createPatternDisk,
  createRecordingDisk,
  fillPattern,
  readAll,
} from '../../support/disks.ts'
import { within } from '../../support/wait.ts'

const unit = 64 * KiB

/** One run of changes over all of it. */
const everything = (size: number): BlockMap => {
  const builder = createBlockMapBuilder()
  builder.add(size, 'data')
  return builder.finish()
}

/** Writes of whole sectors: where, how many, and with which pattern; 0 for zeros. */
const stretches = fc.array(
  fc.record({
    sector: fc.nat(3 * 128),
    sectors: fc.integer({ min: 1, max: 200 }),
    seed: fc.nat(2),
    isData: fc.boolean(),
  }),
  { maxLength: 6 },
)
type Stretches = typeof stretches extends fc.Arbitrary<infer T> ? T : never

const diskOf = async (size: number, writes: Stretches): Promise<Disk> => {
  const disk = createMemoryDisk(size)
  for (const { sector, sectors, seed, isData } of writes) {
    const offset = Math.min(sector * SECTOR_SIZE, size - SECTOR_SIZE)
    const length = Math.min(sectors * SECTOR_SIZE, size - offset)
    const bytes = new Uint8Array(length)
    if (seed > 0) fillPattern(offset, bytes, seed)
    if (isData) await disk.write(offset, bytes)
    else await disk.zero(offset, length)
  }
  return disk
}

/** Offsets of the units that the map marks. */
const marked = (map: BlockMap): number[] =>
  [...map.runs()].flatMap(({ offset, length, kind }) =>
    kind === 'hole'
      ? []
      : Array.from({ length: Math.ceil(length / unit) }, (_, at) => offset + at * unit),
  )

const bytesOf = (reads: readonly ByteRange[]): number =>
  reads.reduce((sum, { length }) => sum + length, 0)

describe('narrowing', () => {
  const sizes = fc.integer({ min: 1, max: 3 * 128 + 3 }).map((sectors) => sectors * SECTOR_SIZE)

  test('marks exactly the units that differ, whatever holds them and whichever disk is larger', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, sizes, stretches, stretches, async (size, baseSize, one, other) => {
        const disk = await diskOf(size, one)
        // Half of what the one holds, so that there is something equal.
        const base = await diskOf(baseSize, [...one.slice(0, 3), ...other.slice(0, 2)])
        const [bytes, baseBytes] = [await readAll(disk), new Uint8Array(Math.max(size, baseSize))]
        baseBytes.set(await readAll(base))
        const expected: number[] = []
        for (let at = 0; at < size; at += unit) {
          const end = Math.min(size, at + unit)
          if (Buffer.compare(bytes.subarray(at, end), baseBytes.subarray(at, end)) !== 0)
            expected.push(at)
        }
        const map = await narrowChanges(disk, base, everything(size))
        expect(map.size).toBe(size)
        expect(marked(map)).toEqual(expected)
      }),
    )
  })

  test('reads each disk once, and only where one of the two holds data', async () => {
    const one = createRecordingDisk(
      createPatternDisk([
        ['data', 3 * MiB],
        ['hole', 2 * MiB],
        ['zero', MiB],
        ['data', 100 * KiB],
        ['hole', 924 * KiB],
      ]),
    )
    const other = createRecordingDisk(
      createPatternDisk([
        ['data', MiB],
        ['zero', MiB],
        ['data', MiB],
        ['hole', 2 * MiB],
        ['data', MiB],
        ['hole', MiB],
      ]),
    )
    const map = await narrowChanges(one.disk, other.disk, everything(7 * MiB))
    // From the second MiB on one is empty, the third is equal; then data over holes, both ways.
    expect([...map.runs()].filter(({ kind }) => kind === 'data')).toEqual([
      { offset: MiB, length: MiB, kind: 'data', depth: 0 },
      { offset: 5 * MiB, length: MiB + 128 * KiB, kind: 'data', depth: 0 },
    ])
    expect(bytesOf(one.reads)).toBe(3 * MiB + 128 * KiB)
    expect(bytesOf(other.reads)).toBe(3 * MiB)
    for (const { reads } of [one, other]) {
      for (const { length } of reads) expect(length).toBeLessThanOrEqual(MiB)
    }
  })

  test('reads nothing outside of the candidates', async () => {
    const pattern = () => createRecordingDisk(createPatternDisk([['data', 4 * MiB]]))
    const [one, other] = [pattern(), pattern()]
    const builder = createBlockMapBuilder()
    builder.add(MiB + 512, 'hole')
    builder.add(512, 'data')
    builder.add(3 * MiB - KiB, 'hole')
    const map = await narrowChanges(one.disk, other.disk, builder.finish())
    expect(map.countBytes('hole')).toBe(4 * MiB)
    expect(one.reads).toEqual([{ offset: MiB, length: unit }])
    expect(other.reads).toEqual([{ offset: MiB, length: unit }])
  })

  test('tells how far it is', async () => {
    const [disk, base] = [
      createPatternDisk([['data', 9 * MiB]]),
      createPatternDisk([['hole', 9 * MiB]]),
    ]
    const told: number[] = []
    await narrowChanges(disk, base, everything(9 * MiB), { onProgress: (done) => told.push(done) })
    expect(told.length).toBe(9)
    expect(told).toEqual(told.toSorted((a, b) => a - b))
    expect(told.at(-1)).toBe(1)
  })

  test('stops when it is told to, with no read left under way', async () => {
    const stop = new AbortController()
    let underWay = 0
    const slow: Disk = {
      ...createPatternDisk([['data', 64 * MiB]]),
      async read(_offset, _target, signal) {
        underWay += 1
        if (underWay > 3) stop.abort(new AppError('TASK_CANCELLED', ['t']))
        await new Promise((resolve) => setImmediate(resolve))
        underWay -= 1
        signal?.throwIfAborted()
      },
    }
    const narrowing = narrowChanges(slow, slow, everything(64 * MiB), { signal: stop.signal })
    await expect(within('the comparison to stop', narrowing)).rejects.toMatchObject({
      code: 'TASK_CANCELLED',
    })
    expect(underWay).toBe(0)
  })

  test('a part that cannot be read is its failure, after the others have ended', async () => {
    const pattern = createPatternDisk([['data', 8 * MiB]])
    let underWay = 0
    const broken: Disk = {
      ...pattern,
      async read(offset, target) {
        underWay += 1
        await new Promise((resolve) => setImmediate(resolve))
        underWay -= 1
        if (offset === 4 * MiB) throw new AppError('VDI_IO_ERROR', ['sector lost'])
        await pattern.read(offset, target)
      },
    }
    const narrowing = narrowChanges(pattern, broken, everything(8 * MiB))
    await expect(narrowing).rejects.toThrow('sector lost')
    expect(underWay).toBe(0)
  })
})
