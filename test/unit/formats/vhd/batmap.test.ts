import { describe, expect, test } from 'vitest'
import type { Disk } from '../../../../src/disk/disk.ts'
import { batmapCoverage } from '../../../../src/formats/vhd/batmap.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import type { Image } from '../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, MiB } from '../../../../src/units.ts'
import { listExtents } from '../../../support/disks.ts'
import type { BuiltVhd, VhdRecipe } from '../../../support/vhd-images.ts'
import { buildVhd, onesComplement } from '../../../support/vhd-images.ts'

const bitsOf = (...bytes: number[]): Uint8Array => {
  const bits = new Uint8Array(512)
  bits.set(bytes)
  return bits
}

// Block 0 is in the file and only half written, by its sector bitmap; the batmap says it is full.
const recipe: VhdRecipe = {
  size: 6 * MiB,
  creator: 'tap\0',
  creatorVersion: 0x00010003,
  blocks: [{ block: 0, written: [[0, 2048]] }],
  batmap: bitsOf(0x80),
}

/** Opens the image and counts what is read of the sector bitmap of block 0. */
const openCounting = async (
  built: BuiltVhd,
): Promise<{ disk: Disk; bitmapReads: () => number }> => {
  const memory = createMemoryImage(built.bytes)
  let reads = 0
  const image: Image = {
    size: memory.size,
    read(offset, target) {
      if (offset === built.blockOffsets[0]) reads += 1
      return memory.read(offset, target)
    },
    close: () => memory.close(),
  }
  return { disk: await vhd.open(image), bitmapReads: () => reads }
}

const believed = [
  { offset: 0, length: 2 * MiB, kind: 'data' },
  { offset: 2 * MiB, length: 4 * MiB, kind: 'hole' },
]
const ignored = [
  { offset: 0, length: MiB, kind: 'data' },
  { offset: MiB, length: MiB, kind: 'zero' },
  { offset: 2 * MiB, length: 4 * MiB, kind: 'hole' },
]

const extentsOf = async (built: BuiltVhd) => listExtents((await openCounting(built)).disk)

describe('a batmap', () => {
  test('answers for a block, whose bitmap is then not read', async () => {
    const { disk, bitmapReads } = await openCounting(buildVhd(recipe))
    expect(await listExtents(disk)).toEqual(believed)
    await disk.read(0, new Uint8Array(2 * MiB))
    expect(bitmapReads()).toBe(0)
  })

  test('with a clear bit leaves the question to the bitmap, read once', async () => {
    const { disk, bitmapReads } = await openCounting(buildVhd({ ...recipe, batmap: bitsOf(0) }))
    expect(await listExtents(disk)).toEqual(ignored)
    expect(await listExtents(disk)).toEqual(ignored)
    await disk.read(5000, new Uint8Array(10))
    expect(bitmapReads()).toBe(1)
  })

  test('with a bit for a block that is not in the file is right: the table decides', async () => {
    expect(await extentsOf(buildVhd({ ...recipe, batmap: bitsOf(0xff) }))).toEqual(believed)
  })

  test.each(['win ', 'caml', 'qem2'])('of creator %j is none', async (creator) => {
    expect(await extentsOf(buildVhd({ ...recipe, creator }))).toEqual(ignored)
  })

  test('of version 1.1, which summed signed bytes, is believed', async () => {
    const built = buildVhd({ ...recipe, batmapVersion: 0x00010001 })
    const sum = recipe.batmap!.reduce((total, byte) => total + byte, 0) - 256
    built.bytes.writeUInt32BE(~sum >>> 0, built.batmapOffset + 24)
    expect(await extentsOf(built)).toEqual(believed)
  })

  test('with more sectors than its maker summed up is believed', async () => {
    const bits = new Uint8Array(1024)
    bits[0] = 0x80
    bits[600] = 7
    const built = buildVhd({ ...recipe, batmap: bits })
    built.bytes.writeUInt32BE(onesComplement(bits.subarray(0, 512)), built.batmapOffset + 24)
    expect(await extentsOf(built)).toEqual(believed)
  })

  test.each<[string, (built: BuiltVhd) => void]>([
    ['cookie', ({ bytes, batmapOffset }) => bytes.write('TDbatmap', batmapOffset)],
    [
      'version 1.3',
      ({ bytes, batmapOffset }) => bytes.writeUInt32BE(0x00010003, batmapOffset + 20),
    ],
    ['checksum', ({ bytes, batmapOffset }) => bytes.writeUInt32BE(1, batmapOffset + 24)],
    ['size 0', ({ bytes, batmapOffset }) => bytes.writeUInt32BE(0, batmapOffset + 16)],
    [
      'size of all ones',
      ({ bytes, batmapOffset }) => bytes.writeUInt32BE(0xffffffff, batmapOffset + 16),
    ],
    [
      'size beyond the file',
      ({ bytes, batmapOffset }) => bytes.writeUInt32BE(1024 * 8, batmapOffset + 16),
    ],
    [
      'offset beyond the file',
      ({ bytes, batmapOffset }) => bytes.writeBigUInt64BE(1n << 40n, batmapOffset + 8),
    ],
    [
      'offset beyond 2^53',
      ({ bytes, batmapOffset }) => bytes.writeBigUInt64BE(1n << 63n, batmapOffset + 8),
    ],
    ['bit', ({ bytes, batmapOffset }) => bytes.writeUInt8(0x81, batmapOffset + 512)],
  ])('with a damaged %s is ignored', async (_name, damage) => {
    const built = buildVhd(recipe)
    damage(built)
    expect(await extentsOf(built)).toEqual(ignored)
  })

  test('that lies on a block is ignored', async () => {
    const built = buildVhd(recipe)
    const inBlock = built.blockOffsets[0]! + 512 + MiB + 4096
    built.bytes.set(recipe.batmap!, inBlock)
    built.bytes.writeBigUInt64BE(BigInt(inBlock), built.batmapOffset + 8)
    expect(await extentsOf(built)).toEqual(ignored)
  })
})

test("XenServer's tools count whole 16 MiB of the disk, in sectors of bits", () => {
  expect(batmapCoverage(512)).toBe(4096)
  expect(batmapCoverage(8 * GiB)).toBe(4096)
  expect(batmapCoverage(8 * GiB + 15 * MiB)).toBe(4096)
  expect(batmapCoverage(8 * GiB + 16 * MiB)).toBe(8192)
  expect(batmapCoverage(2040 * GiB)).toBe(255 * 4096)
})
