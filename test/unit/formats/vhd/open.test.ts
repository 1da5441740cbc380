import { describe, expect, test } from 'vitest'
import type { Disk } from '../../../../src/disk/disk.ts'
import { vhd } from '../../../../src/formats/vhd/vhd.ts'
import type { Image } from '../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, KiB, MiB } from '../../../../src/units.ts'
import {
  createPatternDisk,
  expectSameBytes,
  listExtents,
  readAll,
  readRange,
} from '../../../support/disks.ts'
import type { BuiltVhd, VhdRecipe } from '../../../support/vhd-images.ts'
import {
  buildFixedVhd,
  buildFooter,
  buildVhd,
  sealFooter,
  sealHeader,
} from '../../../support/vhd-images.ts'

const open = (bytes: Uint8Array): Promise<Disk> => vhd.open(createMemoryImage(bytes))

const recipe: VhdRecipe = {
  size: 5 * MiB,
  blocks: [
    { block: 2 },
    {
      block: 0,
      written: [
        [8, 16],
        [20, 21],
        [4000, 4096],
      ],
    },
  ],
}

/** The recipe's disk: `unwritten` is what clear bits of an allocated block mean. */
const expectedDisk = (unwritten: 'hole' | 'zero') =>
  createPatternDisk([
    [unwritten, 8 * 512],
    ['data', 8 * 512],
    [unwritten, 4 * 512],
    ['data', 512],
    [unwritten, 3979 * 512],
    ['data', 96 * 512],
    ['hole', 2 * MiB],
    ['data', MiB],
  ])

describe('a fixed image', () => {
  test('is its bytes without the footer', async () => {
    const disk = await open(buildFixedVhd({ size: 3 * MiB }))
    expectSameBytes(await readAll(disk), await readAll(createPatternDisk([['data', 3 * MiB]])))
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: 3 * MiB, kind: 'data' }])
    await expect(disk.read(3 * MiB - 1, new Uint8Array(2))).rejects.toThrow(RangeError)
  })

  test('may have a footer of 511 bytes', async () => {
    const disk = await open(buildFixedVhd({ size: MiB, footerSize: 511 }))
    expect(disk.size).toBe(MiB)
  })

  test('of a creator that rounds down ends where its geometry does', async () => {
    const disk = await open(buildFixedVhd({ size: MiB, creator: 'vpc ', geometry: [1, 4, 17] }))
    expect(disk.size).toBe(68 * 512)
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: 68 * 512, kind: 'data' }])
  })

  test('whose size does not fit the file is refused', async () => {
    await expect(open(buildFixedVhd({ size: 3 * MiB }, 2 * MiB))).rejects.toThrow(
      'Cannot open vhd: the fixed disk of 3145728 bytes (3 MiB) does not fit the 2097152 bytes (2 MiB) before the footer',
    )
  })

  test('tells of the holes that its storage tells of', async () => {
    const memory = createMemoryImage(buildFixedVhd({ size: MiB }))
    const image: Image = {
      size: memory.size,
      read: (offset, target) => memory.read(offset, target),
      async *extents(range) {
        yield { ...range!, kind: 'hole' }
      },
      close: () => memory.close(),
    }
    const disk = await vhd.open(image)
    expect(await listExtents(disk)).toEqual([{ offset: 0, length: MiB, kind: 'hole' }])
  })

  test('has no copy of its footer to fall back on', async () => {
    const bytes = buildFixedVhd({ size: MiB })
    bytes.set(buildFooter({ size: MiB, diskType: 2 }))
    bytes.fill(0, MiB)
    await expect(open(bytes)).rejects.toThrow('footer starts with 00 00 00 00 00 00 00 00, not')
  })
})

describe('a dynamic image', () => {
  test('holds what its bitmaps say; stale bytes are never seen', async () => {
    const disk = await open(buildVhd(recipe).bytes)
    expectSameBytes(await readAll(disk), await readAll(expectedDisk('zero')))
    expect(await listExtents(disk)).toEqual(await listExtents(expectedDisk('zero')))
  })

  test('reads right at any offset, however short the read', async () => {
    const disk = await open(buildVhd(recipe).bytes)
    const whole = await readAll(expectedDisk('zero'))
    for (const offset of [8 * 512 - 3, 8 * 512, 16 * 512 - 1, 20 * 512 + 100, 2 * MiB - 5]) {
      for (const length of [1, 7, 513, 5000]) {
        const part = await readRange(disk, offset, length)
        expectSameBytes(part, whole.subarray(offset, offset + length), `${length} at ${offset}`)
      }
    }
  })

  test('reads all that is written of a block at once', async () => {
    const { bytes, blockOffsets } = buildVhd(recipe)
    const memory = createMemoryImage(bytes)
    const reads: [number, number][] = []
    const disk = await vhd.open({
      size: memory.size,
      read(offset, target) {
        reads.push([offset, target.length])
        return memory.read(offset, target)
      },
      close: () => memory.close(),
    })
    reads.length = 0
    await disk.read(0, new Uint8Array(2 * MiB))
    const bitmap = blockOffsets[1]!
    expect(reads).toEqual([
      [bitmap, 512],
      [bitmap + 512 + 8 * 512, 4088 * 512],
    ])
    reads.length = 0
    await disk.read(2 * MiB, new Uint8Array(2 * MiB))
    expect(reads).toEqual([])
  })

  test.each<[string, Partial<VhdRecipe>]>([
    ['a footer of 511 bytes', { footerSize: 511 }],
    ['blocks of 512 KiB', { blockSize: 512 * KiB }],
    ['room in its table', { tableEntries: 4000 }],
    ['its header elsewhere', { headerOffset: 2048 }],
    ['its table far behind', { tableOffset: MiB }],
    ['its table before its header', { headerOffset: 4096, tableOffset: 512 }],
    ['a gap before its footer', { tail: 5000 * 512 }],
  ])('may have %s', async (_name, change) => {
    const blockSize = change.blockSize ?? 2 * MiB
    const last = Math.ceil(recipe.size / blockSize) - 1
    const disk = await open(buildVhd({ ...recipe, blocks: [{ block: last }], ...change }).bytes)
    const length = recipe.size - last * blockSize
    const expected = createPatternDisk([
      ['hole', last * blockSize],
      ['data', length],
    ])
    expectSameBytes(await readAll(disk), await readAll(expected))
  })

  test('may have blocks of 256 MiB with large bitmaps', async () => {
    const { bytes } = buildVhd({
      size: 256 * MiB,
      blockSize: 256 * MiB,
      blocks: [{ block: 0, written: [[524_280, 524_288]] }],
    })
    const disk = await open(bytes)
    expect(await listExtents(disk)).toEqual([
      { offset: 0, length: 256 * MiB - 4096, kind: 'zero' },
      { offset: 256 * MiB - 4096, length: 4096, kind: 'data' },
    ])
    const end = await readRange(disk, 256 * MiB - 4096, 4096)
    expect(Buffer.from(end).readBigUInt64LE(0)).toBe(BigInt(256 * MiB - 4096 + 1))
  })

  test('is read by the copy of the footer where the closing one is damaged', async () => {
    const { bytes, footerOffset } = buildVhd(recipe)
    bytes.fill(0, footerOffset)
    expectSameBytes(await readAll(await open(bytes)), await readAll(expectedDisk('zero')))
    // Without a closing footer, as after a crash of its writer.
    const cut = await open(bytes.subarray(0, footerOffset))
    expectSameBytes(await readAll(cut), await readAll(expectedDisk('zero')))
  })

  test('is read by its closing footer where the copy is damaged', async () => {
    const { bytes } = buildVhd(recipe)
    bytes.fill(0, 0, 512)
    expect((await open(bytes)).size).toBe(5 * MiB)
  })

  test('takes its size from the geometry where its creator does', async () => {
    const { bytes } = buildVhd({ ...recipe, creator: 'qemu', geometry: [100, 4, 17] })
    expect((await open(bytes)).size).toBe(6800 * 512)
  })
})

test('a bitmap whose read failed is read again', async () => {
  const { bytes, blockOffsets } = buildVhd(recipe)
  const memory = createMemoryImage(bytes)
  let failures = 1
  const disk = await vhd.open({
    size: memory.size,
    async read(offset, target) {
      if (offset === blockOffsets[1] && failures > 0) {
        failures -= 1
        throw new Error('not now')
      }
      await memory.read(offset, target)
    },
    close: () => memory.close(),
  })
  await expect(readAll(disk)).rejects.toThrow('not now')
  expectSameBytes(await readAll(disk), await readAll(expectedDisk('zero')))
})

test('a differencing image asks its parent for what is not written', async () => {
  const disk = await open(buildVhd({ ...recipe, diskType: 4 }).bytes)
  expect(await listExtents(disk)).toEqual(await listExtents(expectedDisk('hole')))
  expectSameBytes(await readAll(disk), await readAll(expectedDisk('hole')))
})

test('a differencing image may have an empty locator, as XenServer writes it', async () => {
  const { bytes } = buildVhd({ ...recipe, diskType: 4, locators: [['W2ru', 0, 0]] })
  expect((await open(bytes)).size).toBe(5 * MiB)
})

describe('an image is refused', () => {
  test.each<[string, VhdRecipe, (built: BuiltVhd) => void, string]>([
    [
      'whose header lies after its end',
      recipe,
      ({ bytes, footerOffset }) => {
        bytes.writeBigUInt64BE(1n << 40n, footerOffset + 16)
        sealFooter(bytes, footerOffset)
      },
      'the header of 1024 bytes at 0x10000000000 leaves the image, whose content ends at 0x',
    ],
    [
      'that has no header',
      recipe,
      ({ bytes, footerOffset }) => {
        bytes.fill(0xff, footerOffset + 16, footerOffset + 24)
        sealFooter(bytes, footerOffset)
      },
      "the header's offset is all ones: there is none",
    ],
    [
      'whose header lies on the copy of the footer',
      recipe,
      ({ bytes, footerOffset }) => {
        bytes.writeBigUInt64BE(0n, footerOffset + 16)
        sealFooter(bytes, footerOffset)
      },
      'the header of 1024 bytes at 0x0 lies on the copy of the footer, which ends at 0x200',
    ],
    [
      'whose table lies after its end',
      recipe,
      ({ bytes, headerOffset }) => {
        bytes.writeBigUInt64BE(1n << 50n, headerOffset + 16)
        sealHeader(bytes, headerOffset)
      },
      'the table of 512 bytes at 0x4000000000000 leaves the image',
    ],
    [
      'whose table is larger than the file',
      recipe,
      ({ bytes, headerOffset }) => {
        bytes.writeUInt32BE(4 * MiB, headerOffset + 28)
        sealHeader(bytes, headerOffset)
      },
      'the table of 16777216 bytes at 0x600 leaves the image',
    ],
    [
      'whose table lies on its header',
      recipe,
      ({ bytes, headerOffset }) => {
        bytes.writeBigUInt64BE(1024n, headerOffset + 16)
        sealHeader(bytes, headerOffset)
      },
      'the table of 512 bytes at 0x400 overlaps the header at 0x200',
    ],
    [
      'with a block on its header',
      { size: MiB, blocks: [{ block: 0 }] },
      ({ bytes, tableOffset }) => bytes.writeUInt32BE(2, tableOffset),
      'block 0 at 0x400 overlaps the header',
    ],
    [
      'with a block on the copy of the footer',
      { size: MiB, blocks: [{ block: 0 }] },
      ({ bytes, tableOffset }) => bytes.writeUInt32BE(0, tableOffset),
      'block 0 at 0x0 overlaps the copy of the footer, 512 bytes at 0x0',
    ],
    [
      'with a block on its footer',
      recipe,
      ({ bytes, tableOffset, blockOffsets }) =>
        bytes.writeUInt32BE(blockOffsets[1]! / 512 + 1, tableOffset),
      'block 0 of 2097664 bytes',
    ],
    [
      'with blocks on each other',
      recipe,
      ({ bytes, tableOffset, blockOffsets }) =>
        bytes.writeUInt32BE(blockOffsets[1]! / 512, tableOffset + 8),
      'blocks 0 and 2, 2097664 bytes each, overlap',
    ],
    [
      'with a block on a parent locator',
      { ...recipe, diskType: 4, locators: [['W2ru', 3 * MiB, 100]] },
      () => {},
      'overlaps the parent locator, 100 bytes at 0x300000',
    ],
    [
      'with a parent locator beyond its end',
      { ...recipe, diskType: 4, locators: [['MacX', 100 * MiB, 100]] },
      () => {},
      'the parent locator "MacX" of 100 bytes at 0x6400000 leaves the image',
    ],
    [
      'with a parent locator of no sane length',
      { ...recipe, diskType: 4, locators: [['W2ku', 4096, 0xffffffff]] },
      () => {},
      'is 4294967295 bytes long, the limit is 65536',
    ],
  ])('%s', async (_name, made, damage, message) => {
    const built = buildVhd(made)
    damage(built)
    const opening = open(built.bytes)
    await expect(opening).rejects.toThrow(message)
    await expect(opening).rejects.toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
  })

  test('that is too short for a footer', async () => {
    await expect(open(new Uint8Array(100))).rejects.toThrow(
      'Cannot open vhd: the image of 100 bytes has no room for a footer',
    )
    await expect(open(new Uint8Array(0))).rejects.toThrow('0 bytes has no room')
  })

  test('that is none', async () => {
    await expect(open(new Uint8Array(5000).fill(7))).rejects.toThrow(
      'Cannot open vhd: the footer starts with 07 07 07 07 07 07 07 07, not "conectix"',
    )
  })

  test('without the caller losing its file', async () => {
    let closes = 0
    const memory = createMemoryImage(new Uint8Array(5000))
    const opening = vhd.open({
      size: memory.size,
      read: (offset, target) => memory.read(offset, target),
      async close() {
        closes += 1
      },
    })
    await expect(opening).rejects.toThrow('Cannot open vhd')
    expect(closes).toBe(0)
  })
})

test('of a full disk of 2040 GiB only the bitmaps of the asked range are read, and once', async () => {
  const size = 2040 * GiB
  const blocks = size / (2 * MiB)
  const { bytes, headerOffset, tableOffset, footerOffset } = buildVhd({ size })
  // A table that claims every block of a file that is not there beyond its metadata.
  const firstSector = footerOffset / 512
  for (let block = 0; block < blocks; block += 1) {
    bytes.writeUInt32BE(firstSector + block * 4097, tableOffset + block * 4)
  }
  sealHeader(bytes, headerOffset)
  const imageSize = footerOffset + blocks * 4097 * 512 + 512
  const ones = Buffer.alloc(512, 0xff)
  let bitmapReads = 0
  const disk = await vhd.open({
    size: imageSize,
    async read(offset, target) {
      if (offset + target.length <= footerOffset)
        target.set(bytes.subarray(offset, offset + target.length))
      else if (offset === imageSize - 512) target.set(bytes.subarray(footerOffset))
      else {
        bitmapReads += 1
        target.set(ones)
      }
    },
    async close() {},
  })
  expect(disk.size).toBe(size)
  const near = { offset: 1000 * GiB, length: 100 * MiB }
  expect(await listExtents(disk, near)).toEqual([{ ...near, kind: 'data' }])
  expect(bitmapReads).toBe(50)
  expect(await listExtents(disk, near)).toEqual([{ ...near, kind: 'data' }])
  expect(bitmapReads).toBe(50)
})
