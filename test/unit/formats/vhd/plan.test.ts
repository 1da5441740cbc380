import { describe, expect, test } from 'vitest'
import type { Disk } from '../../../../src/disk/disk.ts'
import { isZero } from '../../../../src/disk/zero.ts'
import type { ImageIdentity } from '../../../../src/formats/format.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, KiB, MiB, TiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import type { PatternPart } from '../../../support/disks.ts'
import {
  createPatternDisk,
  createRecordingDisk,
  expectSameBytes,
  listExtents,
  readAll,
  readRange,
} from '../../../support/disks.ts'
import { coalesceInto } from '../../../support/vhd-util-coalesce.ts'
import { parentNameOf, vhdUtilProblems } from '../../../support/vhd-util-rules.ts'

const deltaIdentity: ImageIdentity = {
  ...testIdentity,
  base: {
    uuid: '11111111-2222-4333-8444-555555555555',
    timestamp: new Date('2025-06-07T08:09:10Z'),
  },
}

const parts: readonly PatternPart[] = [
  ['hole', 3 * MiB],
  ['data', 2 * MiB],
  ['hole', 12 * MiB],
  ['data', 512],
  ['zero', 2 * MiB],
  ['hole', 3 * MiB - 1024],
  ['data', 512],
]

const bytesOf = async (disk: Disk, identity = testIdentity): Promise<Buffer> =>
  Buffer.from(await readAll(await vhd.plan(disk, identity)))

const tableOf = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.readUInt32BE(512 + 28) }, (_, block) =>
    bytes.readUInt32BE(2048 + block * 4),
  )

/** A bit for each sector of the block that lies inside a disk of `size` bytes. */
const bitmapOf = (block: number, size: number): Buffer => {
  const sectors = Math.min(4096, size / 512 - block * 4096)
  return Buffer.from(Array.from({ length: 512 }, (_, at) => onesOf(sectors - at * 8)))
}

/** A byte whose first `count` bits are set. */
const onesOf = (count: number): number => (0xff00 >> Math.max(0, Math.min(8, count))) & 0xff

const unused = 0xffffffff

/** None is whole blocks of 2 MiB. */
const oddSizes = [512, MiB + 512, 2 * MiB - 512, 2 * MiB + 512, 3 * MiB, 5 * MiB]

describe('a full export', () => {
  test("goes in the order of XenServer's exporter", async () => {
    const disk = createPatternDisk(parts)
    const bytes = await bytesOf(disk)
    // Blocks 1 and 2, 8, and the last one, number 10.
    const first = (2048 + 512 + 512 + 512) / 512
    expect(bytes.length).toBe(first * 512 + 4 * 4097 * 512 + 512)
    expect(bytes.toString('latin1', 0, 8)).toBe('conectix')
    expect(bytes.toString('latin1', 512, 520)).toBe('cxsparse')
    expect(bytes.subarray(1536, 2048).every((byte) => byte === 0)).toBe(true)
    expect(tableOf(bytes)).toEqual([
      unused,
      first,
      first + 4097,
      ...Array<number>(5).fill(unused),
      first + 2 * 4097,
      unused,
      first + 3 * 4097,
    ])
    expect(bytes.subarray(2048 + 44, 2560).every((byte) => byte === 0xff)).toBe(true)
    expect(bytes.toString('latin1', 2560, 2568)).toBe('tdbatmap')
    expect(bytes.subarray(3072, 3074)).toEqual(Buffer.from([0b01100000, 0b10100000]))
    expect(bytes.subarray(3074, 3584).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(-512)).toEqual(bytes.subarray(0, 512))
  })

  test('has whole blocks, each after a bitmap of all sectors that the disk has', async () => {
    const disk = createPatternDisk(parts)
    const bytes = await bytesOf(disk)
    for (const [block, sector] of tableOf(bytes).entries()) {
      if (sector === unused) continue
      const start = sector * 512
      expect(bytes.subarray(start, start + 512)).toEqual(bitmapOf(block, disk.size))
      const expected = new Uint8Array(2 * MiB)
      const inside = Math.min(2 * MiB, disk.size - block * 2 * MiB)
      await disk.read(block * 2 * MiB, expected.subarray(0, inside))
      expectSameBytes(bytes.subarray(start + 512, start + 512 + 2 * MiB), expected)
    }
  })

  test('has zeros after the end of the disk in its last block', async () => {
    const bytes = await bytesOf(createPatternDisk([['data', 2 * MiB + 512]]))
    const data = bytes.subarray(-512 - 2 * MiB, -512)
    expect(data.subarray(0, 512).some((byte) => byte !== 0)).toBe(true)
    expect(isZero(data.subarray(512))).toBe(true)
  })

  test.each<[string, readonly PatternPart[]]>([
    ['with holes', parts],
    ['empty', [['hole', 100 * MiB]]],
    ['full', [['data', 20 * MiB]]],
    ['of one sector', [['data', 512]]],
    ['of zeros', [['zero', 9 * MiB + 512]]],
  ])('is what vhd-util takes: %s', async (_name, made) => {
    expect(vhdUtilProblems(await bytesOf(createPatternDisk(made)))).toEqual([])
  })

  test.each(oddSizes)('of %d bytes marks no sector beyond its end', async (size) => {
    const disk = createPatternDisk([['data', size]])
    const bytes = await bytesOf(disk)
    expect(vhdUtilProblems(bytes)).toEqual([])
    const copied = new Uint8Array(size)
    expect(coalesceInto(bytes, copied)).toBe(size / 512)
    expectSameBytes(copied, await readAll(disk))
    expect(await listExtents(await vhd.open(createMemoryImage(bytes)))).toEqual([
      { offset: 0, length: size, kind: 'data' },
    ])
  })

  test('has the same bitmap of its last block in reads of any part of it', async () => {
    const image = await vhd.plan(createPatternDisk([['data', 3 * MiB + 512]]), testIdentity)
    const start = image.size - 512 - 2 * MiB - 512
    const whole = await readRange(image, start, 512)
    expect(Buffer.from(whole)).toEqual(bitmapOf(1, 3 * MiB + 512))
    for (const offset of [0, 1, 255, 256, 257, 511]) {
      for (const length of [1, 2, 512 - offset]) {
        const part = await readRange(image, start + offset, Math.min(length, 512 - offset))
        expectSameBytes(
          part,
          whole.subarray(offset, offset + part.length),
          `${length} at ${offset}`,
        )
      }
    }
  })

  test('says its size to the sector', async () => {
    for (const size of [512, 2 * MiB - 512, 2 * MiB, 2 * MiB + 512, 127 * GiB + 1536]) {
      const image = await vhd.plan(createPatternDisk([['hole', size]]), testIdentity)
      const footer = Buffer.from(await readRange(image, 0, 512))
      expect(footer.readBigUInt64BE(48)).toBe(BigInt(size))
    }
  })

  test.each([
    // The last block is not full, and below 16 MiB vhd-util neither sums up nor looks at its bit.
    [8 * GiB + 512, [0x00]],
    [8 * GiB + 2 * MiB, [0x00]],
    [8 * GiB + 16 * MiB, [0xff]],
    [8 * GiB + 16 * MiB - 512, [0x00]],
    [8 * GiB + 17 * MiB, [0xff, 0x00]],
    [8 * GiB + 18 * MiB, [0xff, 0x80]],
  ])('of %d bytes has a batmap that vhd-util sums up alike', async (size, lastBits) => {
    const image = await vhd.plan(createPatternDisk([['data', size]]), testIdentity)
    const blocks = Math.ceil(size / (2 * MiB))
    const batmapOffset = 2048 + Math.ceil((blocks * 4) / 512) * 512
    const header = Buffer.from(await readRange(image, batmapOffset, 512))
    const bits = await readRange(image, batmapOffset + 512, header.readUInt32BE(16) * 512)
    expect(bits.subarray(0, 512).every((byte) => byte === 0xff)).toBe(true)
    expect([...bits.subarray(512, 512 + lastBits.length)]).toEqual(lastBits)
    const summed = Math.max(1, Math.ceil(Math.floor(size / (16 * MiB)) / 512)) * 512
    const sum = bits.subarray(0, summed).reduce((total, byte) => total + byte, 0)
    expect(header.readUInt32BE(24)).toBe(~sum >>> 0)
  })
})

describe('a delta', () => {
  test('is a differencing image on its base', async () => {
    const bytes = await bytesOf(createPatternDisk(parts), deltaIdentity)
    expect(bytes.readUInt32BE(60)).toBe(4)
    expect(bytes.toString('hex', 512 + 40, 512 + 56)).toBe('11111111222243338444555555555555')
    const seconds = deltaIdentity.base!.timestamp.getTime() / 1000 - 946_684_800
    expect(bytes.readUInt32BE(512 + 56)).toBe(seconds)
    expect(parentNameOf(bytes)).toBe('11111111-2222-4333-8444-555555555555.vhd')
    expect(vhdUtilProblems(bytes)).toEqual([])
  })

  test('has its table where a full export has it, and no block in it that has not changed', async () => {
    const bytes = await bytesOf(createPatternDisk(parts), deltaIdentity)
    const used = tableOf(bytes).flatMap((sector, block) => (sector === unused ? [] : [block]))
    // Block 9 holds zeros only: they have changed.
    expect(used).toEqual([1, 2, 8, 9, 10])
    // Two of the three locators lie between batmap and blocks.
    expect(tableOf(bytes)[1]).toBe((3584 + 1024) / 512)
  })

  test('holds all of each block, what has not changed included', async () => {
    const changed = createPatternDisk(parts)
    const content = createPatternDisk([['data', changed.size]])
    const disk: Disk = { ...content, extents: (range) => changed.extents(range) }
    const bytes = await bytesOf(disk, deltaIdentity)
    const start = tableOf(bytes)[8]! * 512
    expect(bytes.subarray(start, start + 512).every((byte) => byte === 0xff)).toBe(true)
    expectSameBytes(
      bytes.subarray(start + 512, start + 512 + 2 * MiB),
      await readRange(content, 16 * MiB, 2 * MiB),
    )
  })

  test.each(oddSizes)('of a disk of %d bytes coalesces into its base', async (size) => {
    // All blocks have changed, the last one in its last sector.
    const content = createPatternDisk([['data', size]])
    const bytes = await bytesOf(content, deltaIdentity)
    expect(vhdUtilProblems(bytes)).toEqual([])
    const base = await readAll(createPatternDisk([['data', size]], 7))
    expect(coalesceInto(bytes, base)).toBe(size / 512)
    expectSameBytes(base, await readAll(content))
  })

  test('of nothing changed has an empty table', async () => {
    const bytes = await bytesOf(createPatternDisk([['hole', 5 * MiB]]), deltaIdentity)
    expect(tableOf(bytes)).toEqual([unused, unused, unused])
    expect(bytes.length).toBe(3584 + 1024 + 512)
    expect(vhdUtilProblems(bytes)).toEqual([])
    const disk = await vhd.open(createMemoryImage(bytes))
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: 5 * MiB, kind: 'hole' }])
  })

  test('opens as a disk that asks its parent for the rest', async () => {
    const disk = await vhd.open(
      createMemoryImage(await bytesOf(createPatternDisk(parts), deltaIdentity)),
    )
    expect((await listExtents(disk)).map(({ offset, kind }) => [offset / MiB, kind])).toEqual([
      [0, 'hole'],
      [2, 'data'],
      [6, 'hole'],
      [16, 'data'],
    ])
  })
})

describe('a fixed export', () => {
  test('is the bytes of the disk and a footer', async () => {
    const disk = createPatternDisk(parts)
    const image = await vhd.plan(createPatternDisk(parts), testIdentity, { subformat: 'fixed' })
    expect(image.size).toBe(disk.size + 512)
    const bytes = Buffer.from(await readAll(image, 300_007))
    expectSameBytes(bytes.subarray(0, -512), await readAll(disk))
    const footer = bytes.subarray(-512)
    expect(footer.readUInt32BE(60)).toBe(2)
    expect(footer.readBigUInt64BE(16)).toBe(0xffffffffffffffffn)
    const opened = await vhd.open(createMemoryImage(bytes))
    expectSameBytes(await readAll(opened), await readAll(disk))
  })

  test('closes its disk', async () => {
    const recording = createRecordingDisk(createPatternDisk(parts))
    const image = await vhd.plan(recording.disk, testIdentity, { subformat: 'fixed' })
    await image.close()
    expect(recording.closes()).toBe(1)
  })
})

describe('a plan is refused', () => {
  const refusal = (
    size: number,
    identity: ImageIdentity,
    options: Parameters<typeof vhd.plan>[2] = {},
  ) => {
    const recording = createRecordingDisk(createPatternDisk([['hole', size]]))
    return { planning: vhd.plan(recording.disk, identity, options), closes: recording.closes }
  }

  test('above 2040 GiB', async () => {
    const { planning, closes } = refusal(2040 * GiB + 512, testIdentity)
    await expect(planning).rejects.toMatchObject({
      code: 'VDI_TOO_LARGE',
      params: [`OpaqueRef:${testIdentity.uuid}`, String(2040 * GiB)],
      message: `The disk ${testIdentity.uuid} of 2190433321472 bytes (2.0 TiB) does not fit a VHD, which holds at most 2040 GiB (2190433320960 bytes): use qcow2 or raw`,
    })
    expect(closes()).toBe(0)
  })

  test('above 2040 GiB when fixed, too', async () => {
    const { planning } = refusal(3 * TiB, testIdentity, { subformat: 'fixed' })
    await expect(planning).rejects.toMatchObject({ code: 'VDI_TOO_LARGE' })
  })

  test('for a compact delta', async () => {
    const { planning } = refusal(MiB, deltaIdentity, { delta: 'compact' })
    await expect(planning).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      message:
        'The value "compact" of delta: a VHD delta is always whole blocks of 2 MiB, ask for qcow2',
    })
  })

  test('for a fixed delta', async () => {
    const { planning } = refusal(MiB, deltaIdentity, { subformat: 'fixed' })
    await expect(planning).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
      message:
        'The value "fixed" of subformat: a fixed VHD is a whole disk, a delta needs the dynamic one',
    })
  })
})

test('a full disk of 2040 GiB is planned by its runs, its last sector number fits 32 bits', async () => {
  const blocks = (2040 * GiB) / (2 * MiB)
  const image = await vhd.plan(createPatternDisk([['data', 2040 * GiB]]), testIdentity)
  const firstBlock = 2048 + blocks * 4 + 512 + blocks / 8
  expect(image.size).toBe(firstBlock + blocks * 4097 * 512 + 512)
  const last = Buffer.from(await readRange(image, 2048 + (blocks - 1) * 4, 4)).readUInt32BE()
  expect(last).toBe((firstBlock + (blocks - 1) * 4097 * 512) / 512)
  expect(last).toBeLessThan(0xffffffff)
  const data = await readRange(image, last * 512 + 512 + 2 * MiB - 8, 8)
  expect(Buffer.from(data).readBigUInt64LE()).toBe(BigInt(2040 * GiB - 8 + 1))
})

test('any part of a large table is worked out by itself', async () => {
  // Every third block of 64 KiB-aligned stretches, over 200 GiB.
  const made = Array.from({ length: 1000 }, (_, index): PatternPart[] => [
    ['hole', 130 * MiB + 64 * KiB],
    ['data', 70 * MiB - 64 * KiB + (index % 2) * 512],
    ['zero', 4 * MiB - (index % 2) * 512],
  ]).flat()
  const image = await vhd.plan(createPatternDisk(made), testIdentity)
  const blocks = (204_000 * MiB) / (2 * MiB)
  const length = 2048 + Math.ceil(blocks / 128) * 512 + 512 + Math.ceil(blocks / 4096) * 512
  const whole = await readRange(image, 0, length)
  for (const offset of [2047, 2049, 2050, 65_537, 300_001, length - 5000, length - 77]) {
    for (const count of [1, 2, 3, 5, 64, 4097]) {
      const part = await readRange(image, offset, Math.min(count, length - offset))
      expectSameBytes(part, whole.subarray(offset, offset + part.length), `${count} at ${offset}`)
    }
  }
})
