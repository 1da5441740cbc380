// VMDK images that are cut, damaged or lie: each is refused by name at rest and from a stream, and
// none makes large allocations. They are made of images of this server, whose bytes other readers
// take (see test/golden/vmdk.test.ts).

import { deflateSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { vmdk } from '../../src/formats/vmdk/vmdk.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { spoolOn } from '../../src/image/spool.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, cutInChunks, readAll } from '../support/disks.ts'
import { decodeFaulty, expectRefused, openFaulty } from '../support/faulty-images.ts'
import { encodeAll } from '../support/encoded.ts'

const parts = [
  ['data', 128 * KiB],
  ['hole', 64 * KiB],
  ['data', 100 * KiB],
] as const
const size = 292 * KiB

const sparse = Buffer.from(await readAll(await vmdk.plan(createPatternDisk(parts), testIdentity)))
const stream = Buffer.from(await encodeAll(vmdk, createPatternDisk(parts), 'streamOptimized'))

/** Where the fields of a header stand. */
const at = {
  version: 4,
  flags: 8,
  capacity: 12,
  grainSize: 20,
  descriptorOffset: 28,
  descriptorSize: 36,
  tableEntries: 44,
  directory: 56,
  overhead: 64,
  uncleanShutdown: 72,
  newlines: 73,
  compression: 77,
} as const

const decodeAll = (bytes: Uint8Array, streamLength?: number): Promise<number> =>
  decodeFaulty(vmdk, bytes, streamLength)

const openAll = (bytes: Uint8Array): Promise<number> => openFaulty(vmdk, bytes)

const both = (bytes: Uint8Array) => [openAll(bytes), decodeAll(bytes)]

const changed = (image: Buffer, change: (bytes: Buffer) => unknown): Buffer => {
  const bytes = Buffer.from(image)
  change(bytes)
  return bytes
}

const withDescriptor = (change: (text: string) => string, image: Buffer = sparse): Buffer =>
  changed(image, (bytes) => {
    const text = bytes.toString('latin1', 512, 512 + 10_240).replaceAll('\0', '')
    bytes.fill(0, 512, 512 + 10_240).write(change(text), 512, 'latin1')
  })

test('the images that the faults are made of are taken', async () => {
  for (const image of [sparse, stream]) {
    expect(await openAll(image)).toBe(size)
    expect(await decodeAll(image)).toBe(size)
    expect(await decodeAll(image, image.length)).toBe(size)
  }
})

describe('headers', () => {
  const uint32 = (name: keyof typeof at, value: number) => (bytes: Buffer) =>
    bytes.writeUInt32LE(value, at[name])
  const uint64 = (name: keyof typeof at, value: bigint) => (bytes: Buffer) =>
    bytes.writeBigUInt64LE(value, at[name])

  test.each([
    [(bytes: Buffer) => bytes.write('KDMW'), 'this is no VMDK: it does not begin with KDMV'],
    [(bytes: Buffer) => bytes.write('COWD'), /sparse extent of ESX \(vmfsSparse\): convert it/],
    [
      (bytes: Buffer) => bytes.write('\xbe\xba\xfe\xca\0\0\0\0', 'latin1'),
      /\(seSparse\): .*vmkfstools -i/,
    ],
    [(bytes: Buffer) => bytes.write('# Disk DescriptorFile\n'), 'it is a descriptor, a text'],
    [uint32('version', 4), 'the version is 4, only 1 to 3 are supported'],
    [uint32('version', 0), 'the version is 0, only 1 to 3'],
    [uint32('flags', 0x80000003), 'the flags 0x80000000 are not known'],
    [(bytes: Buffer) => bytes.write('\n \n\n', at.newlines), 'its line ends were changed'],
    [uint64('capacity', 0n), 'the virtual size is 0'],
    [uint64('capacity', 2n ** 40n), 'the virtual size is 562949953421312 bytes (512 TiB), the'],
    [uint64('capacity', 2n ** 50n), 'the capacity of 1125899906842624 sectors is larger'],
    [uint64('capacity', 2n ** 64n - 1n), 'capacity: 0xffffffffffffffff is larger than 2^53 - 1'],
    [uint64('grainSize', 0n), 'the grain size is 0, must be a power of two'],
    [uint64('grainSize', 4n), 'the grain size is 2048, must be'],
    [uint64('grainSize', 100n), 'the grain size is 51200, must be'],
    [uint64('grainSize', 8192n), 'the grain size is 4194304, must be'],
    [uint32('tableEntries', 0), 'a grain table has 0 entries, must have 1 to 512'],
    [uint32('tableEntries', 0xffffffff), 'a grain table has 4294967295 entries'],
    [uint64('descriptorSize', 0n), 'it has no descriptor, so it is one of several files'],
    [uint64('descriptorOffset', 0n), 'it has no descriptor, so it is one of several files'],
    [uint64('descriptorSize', 2n ** 21n), 'the descriptor has 1073741824 bytes, the limit is'],
  ] as const)('%#: %s', async (change, message) => {
    await expectRefused(both(changed(sparse, change)), message)
  })

  test.each([
    [(bytes: Buffer) => bytes.writeUInt16LE(2, at.compression), 'the compression is 2, only 1'],
    [uint32('flags', 0x10001), 'its grains are compressed and have no markers: convert'],
  ] as const)('compressed, %#: %s', async (change, message) => {
    await expectRefused(both(changed(stream, change)), message)
  })

  test('one that was not closed is taken with a note', async () => {
    const bytes = changed(sparse, (image) => image.writeUInt8(1, at.uncleanShutdown))
    const decoded = await vmdk.decode(createForwardReader(cutInChunks(bytes, [4096])), {
      buffers: createBufferPool(2, 64 * KiB),
      openSpool: async () => spoolOn(createMemoryImage()),
    })
    expect(decoded.notes).toEqual([expect.stringContaining('it was not closed')])
  })

  test('places far away are never waited for in vain', async () => {
    const far = changed(sparse, uint64('directory', 2n ** 40n))
    await expect(openAll(far)).rejects.toThrow('the grain directory at 0x2000000000000 points past')
    await expect(decodeAll(far)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })
})

describe('descriptors', () => {
  test.each([
    [(text: string) => text.replace('monolithicSparse', 'vmfs'), 'VMDK of the kind "vmfs", only'],
    [(text: string) => text.replace(/createType.*/, ''), 'does not say what it is (createType)'],
    [(text: string) => text.replace('monolithicSparse', 'custom'), 'of the kind "custom", only'],
    [
      (text: string) => text.replace('=ffffffff', '=12345678'),
      'it lies on another disk (parentCID="12345678") and holds what differs: make a whole disk',
    ],
    [(text: string) => text.replace(/^RW.*$/m, ''), 'its descriptor names 0 extents, must be 1'],
    [(text: string) => `${text}RW 8 SPARSE "/etc/passwd"\n`, 'its descriptor names 2 extents'],
    [
      (text: string) => text.replace(/^RW.*$/m, 'RW 584 FLAT "/etc/passwd" 0'),
      'its extent is not sparse ("RW 584 FLAT \\"/etc/passwd\\" 0")',
    ],
    [
      (text: string) => text.replace(/^RW \d+/m, 'RW 100'),
      'its descriptor says that the disk has 51200 bytes (50 KiB), its header 299008 bytes (292 KiB)',
    ],
  ] as const)('%#', async (change, message) => {
    await expectRefused(both(withDescriptor(change)), message)
  })

  test('a size that is rounded up to a grain is taken, and the header counts', async () => {
    const rounded = withDescriptor((text) => text.replace(/^RW \d+/m, 'RW 640'))
    expect(await decodeAll(rounded)).toBe(size)
  })

  test('line ends and letters of any kind are taken', async () => {
    const other = withDescriptor((text) =>
      text.replaceAll('\n', '\r\n').replace('createType="mono', ' CreateType = "MONO'),
    )
    expect(await decodeAll(other)).toBe(size)
  })
})

describe('tables', () => {
  const directory = Number(sparse.readBigUInt64LE(at.directory)) * SECTOR_SIZE
  const table = sparse.readUInt32LE(directory) * SECTOR_SIZE
  const first = sparse.readUInt32LE(table)
  const withEntry = (grain: number, place: number): Buffer =>
    changed(sparse, (bytes) => bytes.writeUInt32LE(place, table + grain * 4))

  test.each([
    [withEntry(0, 1), 'grain 0 at 0x200 overlaps the header'],
    [withEntry(0, first + 128), /grain [01] at 0x[\da-f]+ overlaps grain [01]$/],
    [withEntry(1, first + 127), /grain 1 at 0x[\da-f]+ overlaps grain 0$/],
    [withEntry(2, table / SECTOR_SIZE), /grain 2 at 0x[\da-f]+ overlaps a grain table, at 0x/],
    [withEntry(2, directory / SECTOR_SIZE), /grain 2 at 0x[\da-f]+ overlaps a grain table, at 0x/],
  ] as const)('%#', async (bytes, message) => {
    await expectRefused(both(bytes), message)
  })

  test('a grain past the end', async () => {
    await expectRefused(
      [openAll(withEntry(2, 0xffffffff)), decodeAll(withEntry(2, 0xffffffff), sparse.length)],
      'grain 2 at 0x1fffffffe00 points past the end of the image',
    )
  })

  test('a directory whose tables share bytes', async () => {
    const bytes = changed(sparse, (image) => {
      image.writeBigUInt64LE(2n ** 17n, at.capacity)
      image.writeUInt32LE(table / SECTOR_SIZE + 1, directory + 4)
    })
    const larger = withDescriptor((text) => text.replace(/^RW \d+/m, 'RW 131072'), bytes)
    await expectRefused(both(larger), /the grain tables at 0x[\da-f]+ and 0x[\da-f]+ share bytes/)
  })

  test('a table past the end', async () => {
    const bytes = changed(sparse, (image) => image.writeUInt32LE(0xfffffff0, directory))
    await expect(openAll(bytes)).rejects.toThrow('the grain table at 0x1ffffffe000 points past')
    await expect(decodeAll(bytes)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })
})

test('a huge disk of which nothing is there is one hole, not billions of grains', async () => {
  const directoryAt = 64 * KiB
  const bytes = changed(sparse.subarray(0, directoryAt), (image) => {
    image.writeBigUInt64LE(2n ** 34n, at.capacity)
    image.writeBigUInt64LE(8n, at.grainSize)
    image.writeBigUInt64LE(BigInt(directoryAt / SECTOR_SIZE), at.directory)
  })
  const rounded = withDescriptor((text) => text.replace(/^RW \d+/m, `RW ${2 ** 34}`), bytes)
  const image = Buffer.concat([rounded, Buffer.alloc(16 * MiB)])
  expect(await openAll(image)).toBe(0)
  expect(await decodeAll(image, image.length)).toBe(0)
})

describe('markers', () => {
  const grainAt = 64 * KiB
  const withMarker = (sector: bigint, length: number): Buffer =>
    changed(stream, (bytes) => {
      bytes.writeBigUInt64LE(sector, grainAt)
      bytes.writeUInt32LE(length, grainAt + 8)
    })

  test.each([
    [withMarker(1n, 100), 'its marker says sector 1, where no grain begins'],
    [withMarker(2n ** 63n, 100), 'its marker says sector 9223372036854775808, where no grain'],
    [withMarker(0n, 0xffffffff), 'its marker says 4294967295 bytes, a grain has 65536'],
    [withMarker(128n, stream.readUInt32LE(grainAt + 8)), 'grain 1 came twice'],
    [
      withMarker(0n, stream.readUInt32LE(grainAt + 8) - 1),
      'it cannot be read: unexpected end of file',
    ],
    [changed(stream, (bytes) => bytes.fill(7, grainAt + 20, grainAt + 40)), 'it cannot be read'],
  ] as const)('from a stream, %#', async (bytes, message) => {
    await expectRefused([decodeAll(bytes)], message)
  })

  test.each([
    [withMarker(1n, 100), 'its marker says sector 1, the table says 0'],
    [withMarker(0n, 0xffffffff), 'its marker says 4294967295 bytes, a grain has 65536'],
    [withMarker(0n, 0), 'its marker says 0 bytes, a grain has 65536'],
  ] as const)('at rest, %#', async (bytes, message) => {
    await expectRefused([openAll(bytes)], message)
  })

  const storedGrain = stream.subarray(grainAt + 12, grainAt + 12 + stream.readUInt32LE(grainAt + 8))
  const grainContent = inflateSync(storedGrain)

  const nextGrain = (start: number): number =>
    start + 512 * Math.ceil((12 + stream.readUInt32LE(start + 8)) / 512)

  /** With another content of the first grain, and all after it moved. */
  const withGrain = (content: Buffer): Buffer => {
    const compressed = deflateSync(content, { level: 4 })
    const old = nextGrain(grainAt) - grainAt
    const head = Buffer.alloc(12)
    head.writeUInt32LE(compressed.length, 8)
    const grain = Buffer.concat([head, compressed])
    const padded = Buffer.concat([grain, Buffer.alloc((512 - (grain.length % 512)) % 512)])
    return Buffer.concat([stream.subarray(0, grainAt), padded, stream.subarray(grainAt + old)])
  }

  test('a bomb is cut at a grain, and a short grain refused', async () => {
    await expectRefused(
      [decodeAll(withGrain(Buffer.alloc(10 * MiB)))],
      /cannot be read: Cannot create a Buffer larger than 65536 bytes/,
    )
    await expectRefused(
      [decodeAll(withGrain(grainContent.subarray(0, 65_535)))],
      'it holds 65535 bytes, must hold 65536',
    )
  })

  const end = stream.length
  test.each([
    ['the footer', (bytes: Buffer) => bytes.fill(0, end - 1536), 'it ends without its footer'],
    [
      'another capacity in the footer',
      (bytes: Buffer) => bytes.writeBigUInt64LE(8n, end - 1024 + at.capacity),
      'it is not that of the header: sizes or kinds differ',
    ],
    [
      'another directory in the footer',
      (bytes: Buffer) => bytes.writeBigUInt64LE(9n, end - 1024 + at.directory),
      'no grain directory came at 0x1200, where the footer says',
    ],
    [
      'no directory in the footer',
      (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 64n - 1n, end - 1024 + at.directory),
      'it does not say where the grain directory is',
    ],
    [
      'another table in the directory',
      (bytes: Buffer) => bytes.writeUInt32LE(9, end - 2048),
      'no grain table came at 0x1200, where the directory says',
    ],
    [
      'no table in the directory',
      (bytes: Buffer) => bytes.writeUInt32LE(0, end - 2048),
      '4 grains came, the tables name 0',
    ],
    [
      'another grain in the table',
      (bytes: Buffer) => bytes.writeUInt32LE(9, end - 2048 - 512 - 2048),
      'the table has grain 0 at 0x1200, where it did not come, or another came before',
    ],
    [
      'an unknown marker',
      (bytes: Buffer) => bytes.writeUInt32LE(77, end - 1536 + 12),
      'its type 77 is not known',
    ],
    [
      'a marker of another length',
      (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 62n, end - 1536),
      'a footer has 1 sectors, the marker says 4611686018427387904',
    ],
  ] as const)('%s does not agree', async (_name, change, message) => {
    await expectRefused([decodeAll(changed(stream, change))], message)
  })

  test.each([
    ['grain tables', -2048 - 512 - 2048 - 512, 2560, 'more than 1 grain tables came, the disk'],
    ['directories', -2560, 1024, 'a grain directory came before'],
    ['footers', -1536, 1024, 'a footer came before'],
  ])('%s that come again and again are refused at the second', async (_name, at, length, said) => {
    const start = end + at
    const repeated = stream.subarray(start, start + length)
    const bytes = Buffer.concat([
      stream.subarray(0, start),
      repeated,
      ...Array.from({ length: 100 }, () => repeated),
      stream.subarray(start + length),
    ])
    await expectRefused([decodeAll(bytes)], said)
  })

  test('grains that come in any order are taken, each once', async () => {
    const lengths = [0, 1].map((index) => {
      const starts = [grainAt]
      for (let grain = 0; grain < index; grain += 1) starts.push(nextGrain(starts[grain]!))
      return nextGrain(starts[index]!) - starts[index]!
    }) as [number, number]
    const bytes = Buffer.from(stream)
    const [first, second] = [stream.subarray(grainAt), stream.subarray(grainAt + lengths[0])]
    second.copy(bytes, grainAt, 0, lengths[1])
    first.copy(bytes, grainAt + lengths[1], 0, lengths[0])
    const table = end - 2048 - 512 - 2048
    bytes.writeUInt32LE((grainAt + lengths[1]) / 512, table)
    bytes.writeUInt32LE(grainAt / 512, table + 4)
    expect(await decodeAll(bytes)).toBe(size)
  })

  test('a directory of gigabytes is refused before anything is read of it', async () => {
    const bytes = changed(stream, (image) => {
      image.writeBigUInt64LE(2n ** 34n, at.capacity)
      image.writeBigUInt64LE(8n, at.grainSize)
      image.writeUInt32LE(1, at.tableEntries)
    })
    await expectRefused(both(bytes), 'the grain directory has 8589934592 bytes, the limit is')
  })

  test('a capacity that only the footer says is taken', async () => {
    const bytes = changed(stream, (image) => image.writeBigUInt64LE(0n, at.capacity))
    expect(await decodeAll(bytes)).toBe(size)
    expect(await openAll(bytes)).toBe(size)
  })
})

test('any byte may be wrong: taken or refused, in bounds, without another kind of error', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom(sparse, stream),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.boolean(),
      async (image, changes, isInHeader) => {
        const bytes = Buffer.from(image)
        const range = isInHeader ? 80 : bytes.length - 1
        for (const [where, value] of changes) bytes[Math.floor(where * range)] = value
        const attempts = await Promise.allSettled([openAll(bytes), decodeAll(bytes, bytes.length)])
        const errors = attempts.flatMap((attempt): unknown[] =>
          attempt.status === 'rejected' ? [attempt.reason] : [],
        )
        expect(errors.filter((error) => !(error instanceof AppError))).toEqual([])
      },
    ),
    { numRuns: 150 },
  ))

test('no delta is planned or encoded, and what is encoded is not planned', async () => {
  const base = { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date(0) }
  const disk = () => createPatternDisk(parts)
  const refusal = { code: 'VALUE_NOT_SUPPORTED' }
  await expect(vmdk.plan(disk(), { ...testIdentity, base })).rejects.toMatchObject(refusal)
  await expect(vmdk.encode!(disk(), { ...testIdentity, base }).next()).rejects.toMatchObject(
    refusal,
  )
  await expect(
    vmdk.plan(disk(), testIdentity, { subformat: 'streamOptimized' }),
  ).rejects.toMatchObject(refusal)
})
