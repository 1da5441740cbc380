// The laws for VHDX, and properties over random disks and tables.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { vhdx } from '../../src/formats/vhdx/vhdx.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { MiB } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import { decodeBytes, formatLaws, lawDisks, rebuild, testIdentity } from '../laws/format-laws.ts'
import { anyDisk } from '../support/any-disk.ts'
import { createPatternDisk, expectSameBytes, fillPattern, readAll } from '../support/disks.ts'
import type { TestBlock } from '../support/vhdx-images.ts'
import { buildVhdx, testParentGuid } from '../support/vhdx-images.ts'

describe('vhdx', () => {
  formatLaws(vhdx)

  diskLaws('an opened vhdx', async () => {
    const disk = createPatternDisk(lawDisks['scattered']!)
    return vhdx.open(createMemoryImage(await readAll(await vhdx.plan(disk, testIdentity))))
  })
  diskLaws('an opened vhdx that holds sectors of blocks, out of order', async () => {
    const blocks: TestBlock[] = [
      { state: 6, place: 7 },
      { state: 7, place: 6, sectors: [0, 1, 2, 9, 2047] },
      { state: 0 },
      { state: 2 },
      { state: 7, place: 5, sectors: [3, 64, 65] },
    ]
    const parent = { parent_linkage: testParentGuid }
    const size = 5 * MiB - 512
    return vhdx.open(createMemoryImage(buildVhdx({ size, blocks, bitmapAt: 4, parent, length: 8 })))
  })
})

const chunkLengths = fc.array(fc.integer({ min: 1, max: 3 * MiB }), { minLength: 1, maxLength: 4 })

test('any disk opens from its plan and is rebuilt from its stream, cut anywhere', () =>
  fc.assert(
    fc.asyncProperty(anyDisk, chunkLengths, async (parts, chunks) => {
      const disk = createPatternDisk(parts)
      const content = await readAll(disk)
      const bytes = await readAll(await vhdx.plan(disk, testIdentity), 700_001)
      const opened = await vhdx.open(createMemoryImage(bytes))
      expectSameBytes(await readAll(opened, 300_001), content, 'opened')
      const rebuilt = await rebuild(await decodeBytes(vhdx, bytes, chunks))
      expectSameBytes(await readAll(rebuilt), content, 'rebuilt')
    }),
    { numRuns: 10 },
  ))

const states = fc.constantFrom(0, 1, 2, 3, 6, 6, 7)

/** Blocks of a file in any order, tables and the bitmap among them. */
const layouts = fc.array(states, { minLength: 1, maxLength: 8 }).chain((kinds) =>
  fc.record({
    kinds: fc.constant(kinds),
    // Metadata, table, bitmap, then the blocks.
    order: fc.shuffledSubarray(
      Array.from({ length: kinds.length + 3 }, (_, index) => index + 2),
      { minLength: kinds.length + 3 },
    ),
    sectors: fc.uniqueArray(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
    logicalSectorSize: fc.constantFrom(512, 4096),
    missing: fc.integer({ min: 0, max: 200 }),
  }),
)

test('any table reads the same at rest and from a stream, whole or a delta', () =>
  fc.assert(
    fc.asyncProperty(layouts, async (layout) => {
      const { kinds, order, sectors, logicalSectorSize, missing } = layout
      const isDelta = kinds.includes(7)
      const size = kinds.length * MiB - missing * logicalSectorSize
      const expected = new Uint8Array(kinds.length * MiB)
      for (const [block, state] of kinds.entries()) {
        const content = expected.subarray(block * MiB, (block + 1) * MiB)
        if (state >= 6) fillPattern(block * MiB, content)
        if (state !== 7) continue
        for (let sector = 0; sector < MiB / logicalSectorSize; sector += 1) {
          if (sectors.includes(sector)) continue
          content.fill(0, sector * logicalSectorSize, (sector + 1) * logicalSectorSize)
        }
      }
      const bytes = buildVhdx({
        size,
        blocks: kinds.map((state, block) => ({
          state,
          ...(state >= 6 && { place: order[block + 3]! }),
          ...(state === 7 && { sectors }),
        })),
        logicalSectorSize,
        metadataAt: order[0]!,
        tableAt: order[1]!,
        ...(isDelta && { bitmapAt: order[2]!, parent: { parent_linkage: testParentGuid } }),
        length: kinds.length + 5,
      })
      const opened = await vhdx.open(createMemoryImage(bytes))
      expect(opened.size).toBe(size)
      expectSameBytes(await readAll(opened, 500_000), expected.subarray(0, size), 'opened')
      const decoded = await decodeBytes(vhdx, bytes, [99_999])
      expect(decoded.isDelta).toBe(isDelta)
      const rebuilt = await rebuild(decoded)
      expectSameBytes(await readAll(rebuilt), expected.subarray(0, size), 'rebuilt')
    }),
    { numRuns: 40 },
  ))
