// The laws for VDI, and properties over random disks and maps.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { vdi } from '../../src/formats/vdi/vdi.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import { decodeBytes, formatLaws, lawDisks, rebuild, testIdentity } from '../laws/format-laws.ts'
import { anyDisk } from '../support/any-disk.ts'
import { createPatternDisk, expectSameBytes, fillPattern, readAll } from '../support/disks.ts'
import { buildVdi } from '../support/vdi-images.ts'

const free = 0xffffffff
const zero = 0xfffffffe

describe('vdi', () => {
  formatLaws(vdi)

  diskLaws('an opened vdi', async () => {
    const disk = createPatternDisk(lawDisks['scattered']!)
    return vdi.open(createMemoryImage(await readAll(await vdi.plan(disk, testIdentity))))
  })
  diskLaws('an opened vdi of small blocks, out of order', async () => {
    const entries = [free, 2, 0, zero, zero, free, 1, free]
    return vdi.open(createMemoryImage(buildVdi({ size: 31 * KiB, entries, blockSize: 4 * KiB })))
  })
})

const chunkLengths = fc.array(fc.integer({ min: 1, max: 3 * MiB }), { minLength: 1, maxLength: 4 })

const runs = { numRuns: 25 }

test('any disk opens from its plan and is rebuilt from its stream, cut anywhere', () =>
  fc.assert(
    fc.asyncProperty(anyDisk, chunkLengths, async (parts, chunks) => {
      const disk = createPatternDisk(parts)
      const content = await readAll(disk)
      const bytes = await readAll(await vdi.plan(disk, testIdentity), 700_001)
      const opened = await vdi.open(createMemoryImage(bytes))
      expectSameBytes(await readAll(opened, 300_001), content, 'opened')
      const rebuilt = await rebuild(await decodeBytes(vdi, bytes, chunks))
      expectSameBytes(await readAll(rebuilt), content, 'rebuilt')
    }),
    runs,
  ))

/** A map of indexes in any order, with gaps in the file, free and zero entries between. */
const maps = fc
  .array(fc.constantFrom('data', 'free', 'zero', 'lost'), { minLength: 1, maxLength: 60 })
  .chain((kinds) =>
    fc.record({
      kinds: fc.constant(kinds),
      order: fc.shuffledSubarray(
        kinds.map((_, index) => index),
        { minLength: kinds.length },
      ),
    }),
  )

test('any map reads the same at rest and from a stream', () =>
  fc.assert(
    fc.asyncProperty(maps, fc.integer({ min: 0, max: 7 }), async ({ kinds, order }, missing) => {
      const blockSize = 4 * KiB
      const entries = kinds.map((kind, block) => {
        if (kind === 'data') return order[block]!
        return kind === 'zero' ? zero : free
      })
      const size = kinds.length * blockSize - missing * 512
      const expected = new Uint8Array(size)
      for (const [block, kind] of kinds.entries()) {
        if (kind !== 'data') continue
        fillPattern(block * blockSize, expected.subarray(block * blockSize).subarray(0, blockSize))
      }
      const bytes = buildVdi({ size, entries, blockSize, allocatedCount: kinds.length })
      const opened = await vdi.open(createMemoryImage(bytes))
      expect(opened.size).toBe(size)
      expectSameBytes(await readAll(opened, 5000), expected, 'opened')
      const rebuilt = await rebuild(await decodeBytes(vdi, bytes, [999]))
      expectSameBytes(await readAll(rebuilt), expected, 'rebuilt')
    }),
    runs,
  ))
