// Any disk comes out of a compressed image as it was, at rest and from a stream cut anywhere, and
// what a delta leaves out stays as it was.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import { isZero } from '../../src/disk/zero.ts'
import { readSpan, writeSpan } from '../../src/formats/qcow2/compressed.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, SECTOR_SIZE } from '../../src/units.ts'
import { decodeBytes, rebuild, testIdentity } from '../laws/format-laws.ts'
import type { ContentPart } from '../support/content-disk.ts'
import { createContentDisk } from '../support/content-disk.ts'
import { createRecordingDisk, expectSameBytes, listExtents, readAll } from '../support/disks.ts'

const contentParts: fc.Arbitrary<ContentPart[]> = fc.array(
  fc.tuple(
    fc.constantFrom('text', 'random', 'zeros', 'hole', 'zero'),
    fc.oneof(
      fc.integer({ min: 1, max: 300 }).map((sectors) => sectors * SECTOR_SIZE),
      fc.integer({ min: 1, max: 12 }).map((clusters) => clusters * 64 * KiB),
    ),
  ),
  { minLength: 1, maxLength: 10 },
)

const compressions = fc.constantFrom('zlib', 'zstd')

const encode = async (...args: Parameters<NonNullable<typeof qcow2.encode>>): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(qcow2.encode!(...args)))

describe('compressed qcow2', () => {
  test('reads like the disk, at rest and from a stream', async () => {
    const chunks = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(contentParts, compressions, chunks, async (parts, compression, lengths) => {
        const { disk, closes } = createRecordingDisk(createContentDisk(parts))
        const bytes = await encode(disk, testIdentity, { compression })
        expect(closes()).toBe(1)
        expect(bytes.length % (64 * KiB)).toBe(0)
        const expected = await readAll(createContentDisk(parts))
        const opened = await qcow2.open(createMemoryImage(bytes))
        expectSameBytes(await readAll(opened), expected, 'at rest')
        const data = (await listExtents(opened)).filter(({ kind }) => kind === 'data')
        const held = data.map(({ offset, length }) => expected.subarray(offset, offset + length))
        expect(held.filter((bytes) => isZero(bytes))).toEqual([])
        const decoded = await decodeBytes(qcow2, bytes, lengths)
        expectSameBytes(await readAll(await rebuild(decoded)), expected, 'from a stream')
      }),
      { numRuns: 40 },
    )
  })

  test('a delta on top of its base reads like the disk', async () => {
    const deltas = fc.constantFrom('compatible' as const, 'compact' as const)
    await fc.assert(
      fc.asyncProperty(contentParts, compressions, deltas, async (parts, compression, delta) => {
        const disk = createContentDisk(parts)
        const base = { uuid: 'base', timestamp: testIdentity.timestamp }
        const options = { compression, delta }
        const bytes = await encode(disk, { ...testIdentity, base }, options)
        const decoded = await decodeBytes(qcow2, bytes)
        expect(decoded.isDelta).toBe(delta === 'compact')
        // Where nothing has changed the base holds what the disk shows: zeros, by its extents.
        const onto = createMemoryDisk(disk.size)
        for await (const { kind, offset, length } of disk.extents()) {
          if (kind !== 'hole') await onto.write(offset, new Uint8Array(length).fill(0xaa))
        }
        await copyWrites(decoded.writes(), onto)
        expectSameBytes(await readAll(onto), await readAll(disk))
      }),
      { numRuns: 30 },
    )
  })

  test('where a compressed cluster lies is written as it is read', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 9, max: 21 }).map((bits) => 2 ** bits),
        fc.integer({ min: 0, max: 2 ** 48 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (clusterSize, offset, part) => {
          const length = 1 + Math.floor(part * (clusterSize - 1))
          const view = new DataView(new ArrayBuffer(8))
          writeSpan(view, 0, { offset, length }, clusterSize)
          const span = readSpan(view.getUint32(0), view.getUint32(4), clusterSize)
          expect(span.offset).toBe(offset)
          expect(span.length).toBeGreaterThanOrEqual(length)
          expect(span.length).toBeLessThan(length + SECTOR_SIZE)
        },
      ),
    )
  })
})
