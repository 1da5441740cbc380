// Archives that are cut, damaged or lie: each is refused by name at rest and from a stream; none
// makes large allocations.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { DecodeContext } from '../../src/formats/format.ts'
import { tar } from '../../src/formats/tar/tar.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { GiB, KiB, MiB, TiB } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import {
  block,
  endMark,
  patternAt,
  sealTarHeader,
  sha1Entry,
  tarEntry,
} from '../support/block-tars.ts'
import { createPatternDisk, cutInChunks, expectSameBytes, readAll } from '../support/disks.ts'
import { createCountingSpool } from '../support/qcow2-decode.ts'

const size = 4 * KiB
const first = patternAt(0, size)
const third = patternAt(2 * size, size)

const good = Buffer.concat([
  block('vdi/00000000', first),
  block('vdi/00000002', third),
  block('vdi/00000003', patternAt(3 * size, 1024)),
  endMark,
])
const goodSize = 3 * size + 1024

const decodeAll = async (
  bytes: Uint8Array,
  context: Partial<DecodeContext> = {},
): Promise<number> => {
  const spool = createCountingSpool()
  try {
    const decoded = await tar.decode(createForwardReader(cutInChunks(bytes, [777])), {
      buffers: createBufferPool(1, 64 * KiB),
      openSpool: spool.open,
      ...context,
    })
    let end = 0
    for await (const write of decoded.writes()) {
      const length = write.kind === 'data' ? write.bytes.length : write.length
      expect(write.offset % 512 === 0 && length % 512 === 0 && length > 0).toBe(true)
      expect(write.offset).toBeGreaterThanOrEqual(end)
      end = write.offset + length
      expect(end).toBeLessThanOrEqual(decoded.virtualSize)
      if (write.kind === 'data') write.release?.()
    }
    return decoded.virtualSize
  } finally {
    expect(spool.counts.closed).toBe(spool.counts.opened)
  }
}

const openAll = async (bytes: Uint8Array): Promise<number> => {
  const disk = await tar.open(createMemoryImage(bytes))
  for await (const { offset, length } of disk.extents()) {
    await disk.read(offset, new Uint8Array(Math.min(length, 5000)))
    const end = Math.min(length, 1000)
    await disk.read(offset + length - end, new Uint8Array(end))
  }
  return disk.size
}

/** As people read it, at rest and from a stream, the size of the VDI known or not. */
const expectRefused = async (bytes: Uint8Array, message: string | RegExp): Promise<void> => {
  const attempts = [openAll(bytes), decodeAll(bytes), decodeAll(bytes, { diskSize: 8 * MiB })]
  for (const outcome of await Promise.allSettled(attempts)) {
    const error: unknown = outcome.status === 'rejected' ? outcome.reason : 'it was taken'
    expect(error).toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
    if (typeof message === 'string') expect(String(error)).toContain(message)
    else expect(String(error)).toMatch(message)
  }
}

const whole = (...entries: readonly Uint8Array[]): Buffer => Buffer.concat([...entries, endMark])

test('the archive that the faults are made of is taken', async () => {
  expect(await openAll(good)).toBe(goodSize)
  expect(await decodeAll(good)).toBe(goodSize)
  expect(await decodeAll(good, { diskSize: goodSize })).toBe(goodSize)
  expect(await decodeAll(good, { diskSize: MiB })).toBe(MiB)
})

describe('a name', () => {
  test.each([
    'vdi/0000000x',
    'vdi/-0000001',
    'vdi/0x000001',
    'vdi/1',
    'vdi/1000000000000000000000000000000',
    'vdi/00000001 ',
    'vdi/00000001.txt',
    'vdi/',
  ])('of %j is no number', async (name) => {
    await expectRefused(
      whole(block('vdi/00000000', first), block(name, third)),
      `${JSON.stringify(name)} is not the number of a block, as "vdi/00000000" is`,
    )
  })

  test.each(['../00000001', '/vdi/00000001', '00000001', 'vdi/sub/00000001', 'ova.xml'])(
    'of %j is in no folder of this disk',
    async (name) => {
      const bytes = whole(block('vdi/00000000', first), block(name, third))
      await expect(openAll(bytes)).rejects.toThrow('is not the number of a block, as')
      await expect(decodeAll(bytes)).rejects.toThrow(
        `${JSON.stringify(name)} is not in the folder of the first block: an archive holds one disk`,
      )
    },
  )

  test('is only ever a number: a folder that leads elsewhere is not followed', async () => {
    const bytes = whole(block('../../etc/00000000', first))
    expect(await openAll(bytes)).toBe(size)
    expect(await decodeAll(bytes)).toBe(size)
  })

  test('that is long goes on in the prefix', async () => {
    const prefix = 'a/long/folder'
    const digest = sha1Entry('00000000', first)
    digest.write(prefix, 345)
    sealTarHeader(digest, 0)
    const bytes = whole(tarEntry({ name: '00000000', content: first, prefix }), digest)
    expect(await openAll(bytes)).toBe(size)
    // Not one of GNU tar, where something else stands there.
    const odd = tarEntry({ name: '00000000', content: first, prefix, magic: 'ustar  \0' })
    expect(await openAll(whole(odd, sha1Entry('00000000', first)))).toBe(size)
  })
})

describe('a number', () => {
  test.each([
    [['00000001'], 'the archive begins with block 1: the first block must be there'],
    [['00000000', '00000000'], 'block 0 comes twice: numbers must ascend'],
    [['00000000', '00000002', '00000001'], 'block 1 comes after 2: numbers must ascend'],
    [
      ['00000000', '999999999999'],
      'block 999999999999, 4096 bytes at 4095999999995904, goes past the end: the',
    ],
    [
      ['00000000', '4294967296'],
      'block 4294967296, 4096 bytes at 17592186044416, goes past the end: the',
    ],
  ])('%j is refused', async (numbers, message) => {
    const entries = numbers.map((number) => block(number, first))
    await expectRefused(whole(...entries), message)
  })

  test('past the end of the VDI is refused, unless there are only zeros', async () => {
    const zeros = new Uint8Array(size)
    const far = (content: Uint8Array) => whole(block('00000000', first), block('00000003', content))
    const diskSize = 2 * size
    await expect(decodeAll(far(third), { diskSize })).rejects.toThrow(
      "data at 12288, after the VDI's 8192 bytes (8 KiB)",
    )
    expect(await decodeAll(far(zeros), { diskSize })).toBe(diskSize)
    const farther = whole(block('00000000', zeros), block('00000999', zeros))
    await expect(decodeAll(farther, { diskSize })).rejects.toThrow(
      'block 999, 4096 bytes at 4091904, goes past the end: the disk has at most 8192 bytes (8 KiB)',
    )
  })

  test('may be higher than that of the block, where empty files came before', async () => {
    const empty = new Uint8Array(0)
    const entries = [
      block('00000000', first),
      block('00000001', empty),
      block('00000004', empty),
      block('00000005', third),
    ]
    const disk = await tar.open(createMemoryImage(whole(...entries)))
    expect(disk.size).toBe(4 * size)
    const expected = Buffer.concat([first, new Uint8Array(2 * size), third])
    expectSameBytes(await readAll(disk), expected)
  })

  test('of an empty file is not the first one, and not the last', async () => {
    const empty = block('00000000', new Uint8Array(0))
    await expectRefused(
      whole(empty),
      'block 0 has 0 bytes: the first block must have some, at most 16777216 bytes (16 MiB)',
    )
    await expectRefused(
      whole(block('00000000', first), block('00000001', new Uint8Array(0))),
      'block 1, the last one, is empty: the last block must be there',
    )
  })
})

describe('a size', () => {
  const sized = (sizeField: string, content = first): Buffer =>
    whole(tarEntry({ name: '00000000', content, sizeField }), sha1Entry('00000000', content))

  test.each([
    ['past 2^53, in base 256', '\x80\0\0\0\x01\0\0\0\0\0\x10\0'],
    ['below zero', '-0000010000\0'],
    ['below zero, in base 256', '\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf0\0'],
    ['in decimal', '00000004096\0'.replace('4096', '4996')],
    ['of nothing', '\0'.repeat(12)],
  ])('%s is refused', async (_name, sizeField) => {
    await expectRefused(sized(sizeField), /the size of "00000000" is ".*", not an octal number/)
  })

  test('is read in base 256, as GNU tar writes large ones', async () => {
    expect(await decodeAll(sized('\x80\0\0\0\0\0\0\0\0\0\x10\0'))).toBe(size)
  })

  test('is read with spaces around it', async () => {
    expect(await decodeAll(sized('      10000 '))).toBe(size)
  })

  test.each([
    ['77777777777\0', 'block 0 has 8589934591 bytes (8.0 GiB): the first block must have some'],
    ['00100001000\0', 'block 0 has 16777728 bytes (16.0 MiB): the first block must have some'],
    ['00000001001\0', 'block 0 has 513 bytes, not whole sectors of 512 bytes'],
  ])('of %j is refused', async (sizeField, message) => {
    await expectRefused(sized(sizeField), message)
  })

  test('larger than the first, or after a shorter one, is refused', async () => {
    await expectRefused(
      whole(block('00000000', first), block('00000001', patternAt(size, 4608))),
      "block 1 has 4608 bytes (4.5 KiB), more than the first one's 4096 bytes (4 KiB)",
    )
    await expectRefused(
      whole(
        block('00000000', first),
        block('00000001', patternAt(0, 512)),
        block('00000002', first),
      ),
      'block 2 comes after a block shorter than 4096 bytes (4 KiB), which can only be the last',
    )
  })
})

describe('an entry', () => {
  test.each([
    ['1', 'a hard link'],
    ['2', 'a symbolic link'],
    ['3', 'a character device'],
    ['4', 'a block device'],
    ['5', 'a folder'],
    ['6', 'a FIFO'],
    ['x', 'a pax header'],
    ['g', 'a pax header'],
    ['L', 'a long name of GNU tar'],
    ['S', 'a sparse file of GNU tar'],
    ['7', 'of the unknown type "7"'],
  ])('of the type %s is refused', async (type, name) => {
    const odd = tarEntry({ name: 'vdi/00000001', content: third, type })
    await expectRefused(
      whole(block('vdi/00000000', first), odd, sha1Entry('vdi/00000001', third)),
      `"vdi/00000001" is ${name}: only regular files with short names hold a disk`,
    )
  })

  test('from before POSIX is a regular file, as XenServer writes it', async () => {
    const old = { type: '\0', magic: '\0' }
    const digest = sha1Entry('00000000', first)
    digest.fill(0, 156, 512)
    sealTarHeader(digest, 0)
    const bytes = whole(tarEntry({ name: '00000000', content: first, ...old }), digest)
    expect(await openAll(bytes)).toBe(size)
    expect(await decodeAll(bytes)).toBe(size)
  })

  test('whose header is damaged is refused', async () => {
    const bytes = Buffer.from(good)
    const at = 2 * 512 + size + 512
    bytes[at + 5]! ^= 1
    await expectRefused(bytes, 'the header at 0x1600 is none of tar, or damaged')
  })

  test('after half of an end mark is refused', async () => {
    await expectRefused(
      Buffer.concat([block('00000000', first), new Uint8Array(512), good]),
      'one header of zeros at 0x1600, and an entry after it: two of them end an archive',
    )
  })
})

describe('a checksum', () => {
  const data = tarEntry({ name: '00000000', content: first })
  const checksum = (name: string, content: string): Buffer =>
    whole(data, tarEntry({ name, content: Buffer.from(content) }))
  const sha1 = sha1Entry('', first).subarray(512, 552).toString()

  test.each([
    [
      'a'.repeat(40),
      '.checksum',
      RegExp(`the checksum of (?:block 0|the block at 0) is "${sha1}", the archive says "aaa`),
    ],
    [
      '0123456789ABCDEF',
      '.xxhash',
      /the checksum of (?:block 0|the block at 0) is "[0-9A-F]{16}", the archive says "0/,
    ],
    [sha1.slice(1), '.checksum', '"00000000.checksum" has 39 bytes, a checksum has 40'],
    [`${sha1}\n`, '.checksum', '"00000000.checksum" has 41 bytes, a checksum has 40'],
    [sha1, '.xxhash', '"00000000.xxhash" has 40 bytes, a checksum has 16'],
    [sha1, '.sha1', 'block 0 has no checksum: "00000000.sha1" comes after it'],
    [sha1, '', 'block 0 has no checksum: "00000000" comes after it'],
  ])('of %j in a file %s is refused', async (content, ending, message) => {
    await expectRefused(checksum(`00000000${ending}`, content), message)
  })

  test.each(['00000001.checksum', 'vdi/00000000.checksum', '.checksum', '0x.checksum'])(
    'in %j is that of no block before it',
    async (name) => {
      const found = `${JSON.stringify(name)} comes after block 0, not "00000000.checksum"`
      await expectRefused(checksum(name, sha1), found)
    },
  )

  test('is compared in any case', async () => {
    expect(await decodeAll(checksum('00000000.checksum', sha1.toUpperCase()))).toBe(size)
  })

  test('that is missing is refused', async () => {
    await expectRefused(whole(data), 'block 0 has no checksum: the archive ends after it')
  })

  test('of another kind than those before is refused', async () => {
    const other = tarEntry({ name: '00000001.xxhash', content: Buffer.from('0'.repeat(16)) })
    await expectRefused(
      whole(block('00000000', first), tarEntry({ name: '00000001', content: third }), other),
      'block 1 has its checksum in "00000001.xxhash", those before it in .checksum files',
    )
  })

  test('of XXH64 is taken', async () => {
    const disk = createPatternDisk([['data', 3 * MiB + 512]])
    const bytes = await readAll(await tar.plan(disk, testIdentity, { subformat: 'xxhash' }))
    expect(await openAll(bytes)).toBe(3 * MiB + 512)
    expect(await decodeAll(bytes)).toBe(3 * MiB + 512)
  })

  test('at rest is compared once, and of the block that is read', async () => {
    const bytes = Buffer.from(good)
    const secondData = 512 + size + 1024 + 512
    bytes[secondData + 100]! ^= 1
    const disk = await tar.open(createMemoryImage(bytes))
    const part = new Uint8Array(10)
    await disk.read(100, part)
    await expect(disk.read(2 * size + 3000, part)).rejects.toThrow(
      'Cannot read tar: the checksum of the block at 8192 is',
    )
    await expect(disk.read(2 * size, new Uint8Array(size))).rejects.toThrow('the block at 8192')
    await disk.read(3 * size, part)
  })
})

describe('the end', () => {
  test.each([
    ['no entry at all', endMark, 'the archive is empty'],
    [
      'one of another kind',
      whole(tarEntry({ name: 'ova.xml', content: first })),
      '"ova.xml" is not',
    ],
  ])('of an archive with %s is refused', async (_name, bytes, message) => {
    await expectRefused(bytes, message)
  })

  const unmarked = good.subarray(0, -1024)

  test('needs its mark, unless the last block reaches the end of the VDI', async () => {
    expect(await decodeAll(unmarked, { diskSize: goodSize })).toBe(goodSize)
    expect(await decodeAll(unmarked, { diskSize: goodSize - 512 }).catch(String)).toContain(
      "data at 12800, after the VDI's 12800 bytes",
    )
    const larger = decodeAll(unmarked, { diskSize: goodSize + 512, streamLength: unmarked.length })
    await expect(larger).rejects.toMatchObject({
      code: 'VDI_IO_ERROR',
      message: expect.stringContaining(
        "without its end mark, with a block up to 13312 of the VDI's 13824 bytes (13.5 KiB); if that is all of it, say short=true",
      ),
    })
    await expect(decodeAll(unmarked)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
    await expect(openAll(unmarked)).rejects.toThrow(
      'the archive ends without its end mark: a header at 0x3600 is missing',
    )
  })

  test('is where the sender says that it may be anywhere', async () => {
    const mayBeShort = { mayBeShort: true }
    expect(await decodeAll(unmarked, { ...mayBeShort, diskSize: MiB })).toBe(MiB)
    expect(await decodeAll(unmarked, mayBeShort)).toBe(goodSize)
    // But not inside an entry.
    for (const end of [100, 512, 5000, unmarked.length - 513, unmarked.length + 512]) {
      const cut = decodeAll(good.subarray(0, end), { ...mayBeShort, diskSize: MiB })
      await expect(cut, `at ${end}`).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
    }
  })

  test('is where the mark is, whatever follows', async () => {
    const longer = Buffer.concat([good, Buffer.alloc(3000, 7)])
    expect(await openAll(longer)).toBe(goodSize)
    expect(await decodeAll(longer)).toBe(goodSize)
  })

  test.each(Array.from({ length: 30 }, (_, index) => index * 451))(
    'after %d bytes is refused as cut, the size of the VDI known or not',
    async (end) => {
      const cut = good.subarray(0, end)
      for (const diskSize of [undefined, goodSize, 8 * MiB]) {
        const isWhole = end >= unmarked.length && diskSize === goodSize
        if (isWhole) continue
        const attempt = decodeAll(cut, diskSize === undefined ? {} : { diskSize })
        await expect(attempt, `${diskSize}`).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
      }
      await expect(openAll(cut)).rejects.toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
    },
  )
})

test('any damage is refused with an AppError', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(fc.integer({ min: 0, max: goodSize + 4000 }), fc.integer({ min: 0, max: 7 })),
        { minLength: 1, maxLength: 3 },
      ),
      fc.boolean(),
      async (flips, isSealed) => {
        const bytes = Buffer.from(good)
        for (const [at, bit] of flips) bytes[at]! ^= 1 << bit
        if (isSealed) for (const at of [0, 512 + size, 1536 + size]) sealTarHeader(bytes, at)
        for (const attempt of [
          openAll(bytes),
          decodeAll(bytes),
          decodeAll(bytes, { diskSize: MiB }),
        ]) {
          const outcome = await attempt.catch((error: unknown) => error)
          expect(typeof outcome === 'number' || outcome instanceof AppError).toBe(true)
        }
      },
    ),
    { numRuns: 200 },
  ))

describe('what cannot be exported', () => {
  test('a delta', async () => {
    const base = { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date(0) }
    await expect(
      tar.plan(createPatternDisk([['data', MiB]]), { ...testIdentity, base }),
    ).rejects.toThrow('there is no tar delta, ask for vhd or qcow2')
  })

  test('a disk above the limit', async () => {
    await expect(
      tar.plan(createPatternDisk([['hole', 16 * 1024 * GiB]]), testIdentity),
    ).rejects.toMatchObject({ code: 'VDI_TOO_LARGE' })
  })
})

test('an archive of 13 TiB with two blocks in it opens, and its plan is small', async () => {
  const disk = createPatternDisk([['hole', 13 * TiB]])
  const image = await tar.plan(disk, testIdentity)
  expect(image.size).toBe(2 * (MiB + 1536) + 1024)
  const opened = await tar.open(createMemoryImage(await readAll(image)))
  expect(opened.size).toBe(13 * TiB)
  expect(await Array.fromAsync(opened.extents())).toEqual([
    { offset: 0, length: MiB, kind: 'data' },
    { offset: MiB, length: 13 * TiB - 2 * MiB, kind: 'hole' },
    { offset: 13 * TiB - MiB, length: MiB, kind: 'data' },
  ])
})

test('what an archive says of itself is that it is one', async () => {
  expect(await tar.describe(createMemoryImage(good))).toEqual({ isHidden: false })
  for (const [bytes, message] of [
    [good.subarray(0, 511), 'the image of 511 bytes has no room for a header'],
    [endMark, 'the archive is empty'],
    [tarEntry({ name: 'disk.img', content: first }), '"disk.img" is not the number of a block'],
  ] as const) {
    await expect(tar.describe(createMemoryImage(bytes))).rejects.toThrow(message)
  }
})
