import { expect, test } from 'vitest'
import { copyWrites } from '../../../../src/disk/copy-writes.ts'
import { createMemoryDisk } from '../../../../src/disk/memory-disk.ts'
import { vhdx } from '../../../../src/formats/vhdx/vhdx.ts'
import { createBufferPool } from '../../../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { spoolOn } from '../../../../src/image/spool.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { decodeBytes } from '../../../laws/format-laws.ts'
import { cutInChunks, expectSameBytes, fillPattern, readAll } from '../../../support/disks.ts'
import { buildLogEntry, buildVhdx, testParentGuid, withLog } from '../../../support/vhdx-images.ts'

test('zeroed blocks are written as such, absent ones and sectors of the parent are left', async () => {
  const bytes = buildVhdx({
    size: 3 * MiB,
    blocks: [{ state: 2 }, { state: 0 }, { state: 7, place: 5, sectors: [1] }],
    bitmapAt: 4,
    parent: { parent_linkage: testParentGuid },
    length: 6,
  })
  const disk = createMemoryDisk(3 * MiB)
  await disk.write(0, new Uint8Array(3 * MiB).fill(7))
  const decoded = await decodeBytes(vhdx, bytes)
  expect(decoded).toMatchObject({ isDelta: true, baseName: testParentGuid })
  await copyWrites(decoded.writes(), disk)
  const expected = new Uint8Array(3 * MiB).fill(7).fill(0, 0, MiB)
  fillPattern(2 * MiB + 512, expected.subarray(2 * MiB + 512, 2 * MiB + 1024))
  expectSameBytes(await readAll(disk), expected)
})

test('a disk with sectors of 4 KiB is taken, with a note', async () => {
  const size = 2 * MiB
  const blocks = [{ state: 6, place: 4 }, { state: 0 }]
  const bytes = buildVhdx({ size, blocks, logicalSectorSize: 4096, length: 5 })
  const { notes } = await decodeBytes(vhdx, bytes)
  expect(notes).toEqual([expect.stringContaining('logical sectors of 4096 bytes')])
})

test('a log that comes after the blocks is replayed all the same', async () => {
  const table = new Uint8Array(4 * KiB)
  new DataView(table.buffer).setBigUint64(0, BigInt(4 * MiB + 6), true)
  const image = buildVhdx({ size: MiB, blocks: [{ state: 0 }], length: 5 })
  fillPattern(0, image.subarray(4 * MiB))
  const entry = buildLogEntry({
    sequenceNumber: 1,
    tail: 0,
    updates: [{ offset: 3 * MiB, sector: table }],
    fileSize: 5 * MiB,
  })
  const disk = createMemoryDisk(MiB)
  await copyWrites((await decodeBytes(vhdx, withLog(image, [[0, entry]]))).writes(), disk)
  expectSameBytes(await readAll(disk), image.subarray(4 * MiB))
})

/** The tables at so many MiB, behind the block. */
const tablesAt = (place: number): Buffer =>
  buildVhdx({
    size: MiB,
    blocks: [{ state: 6, place: 2 }],
    metadataAt: place,
    tableAt: place + 1,
    length: place + 2,
  })

test.each([
  [15, 0],
  [16, 1],
])('tables at %d MiB, behind the block: spools %d', async (place, expected) => {
  const bytes = tablesAt(place - 1)
  let spools = 0
  let closes = 0
  const decoded = await vhdx.decode(createForwardReader(cutInChunks(bytes, [64 * KiB])), {
    buffers: createBufferPool(4, MiB),
    openSpool: async () => {
      spools += 1
      const spool = spoolOn(createMemoryImage())
      return { ...spool, close: async () => void (closes += 1) }
    },
    streamLength: bytes.length,
  })
  const disk = createMemoryDisk(MiB)
  await copyWrites(decoded.writes(), disk)
  expectSameBytes(await readAll(disk), bytes.subarray(2 * MiB, 3 * MiB))
  expect([spools, closes]).toEqual([expected, expected])
})
