// VHD images that are cut, damaged or lie: each is refused with an AppError or read within its
// bounds; none hangs, crashes or makes large allocations.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError, cutShort } from '../../src/errors.ts'
import { vhd } from '../../src/formats/vhd/vhd.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import type { Image } from '../../src/image/image.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { GiB, KiB, MiB } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import type { Spool } from '../../src/image/spool.ts'
import { createPatternDisk, cutInChunks, readAll } from '../support/disks.ts'
import { createCountingSpool } from '../support/qcow2-decode.ts'
import { buildFixedVhd, buildVhd, sealFooter, sealHeader } from '../support/vhd-images.ts'

const made = buildVhd({
  size: 3 * MiB,
  creator: 'tap\0',
  creatorVersion: 0x00010003,
  diskType: 4,
  blockSize: 512 * KiB,
  blocks: [{ block: 3 }, { block: 0, written: [[1, 900]], gap: 1024 }, { block: 5 }],
  batmap: Buffer.concat([Buffer.from([0b00010100]), Buffer.alloc(511)]),
  locators: [['W2ru', 0, 0]],
})

/** What happened: `read`, or the code of an AppError. Anything else fails the test. */
const outcomeOf = async (attempt: () => Promise<void>): Promise<string> => {
  try {
    await attempt()
    return 'read'
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return error.code
  }
}

/** Opens, walks the extents, and reads the start and the end of each. */
const openAndRead = async (image: Image): Promise<void> => {
  const disk = await vhd.open(image)
  let seen = 0
  for await (const { offset, length } of disk.extents()) {
    await disk.read(offset, new Uint8Array(Math.min(length, 5000)))
    const end = Math.min(length, 5000)
    await disk.read(offset + length - end, new Uint8Array(end))
    seen += 1
    if (seen > 100) break
  }
}

const decodeAll = async (bytes: Uint8Array, streamLength?: number, diskSize?: number) => {
  // Only a fixed disk whose size nobody tells waits in it.
  const spool = createCountingSpool()
  try {
    return await decodeWith(spool.open, bytes, streamLength, diskSize)
  } finally {
    expect(spool.counts.closed).toBeGreaterThanOrEqual(spool.counts.opened)
  }
}

const decodeWith = async (
  openSpool: () => Promise<Spool>,
  bytes: Uint8Array,
  streamLength?: number,
  diskSize?: number,
) => {
  const decoded = await vhd.decode(createForwardReader(cutInChunks(bytes, [9999])), {
    buffers: createBufferPool(2, 64 * KiB),
    openSpool,
    ...(streamLength === undefined ? {} : { streamLength }),
    ...(diskSize === undefined ? {} : { diskSize }),
  })
  let written = 0
  for await (const write of decoded.writes()) {
    const length = write.kind === 'data' ? write.bytes.length : write.length
    const isInside = write.offset >= 0 && write.offset + length <= decoded.virtualSize
    if (!isInside || length === 0 || length % 512 !== 0 || write.offset % 512 !== 0) {
      throw new Error(`a write of ${length} bytes at ${write.offset}`)
    }
    written += length
    if (write.kind === 'data') write.release?.()
  }
  return { virtualSize: decoded.virtualSize, written }
}

const decodeOutcome = (bytes: Uint8Array, streamLength?: number, diskSize?: number) =>
  outcomeOf(async () => {
    await decodeAll(bytes, streamLength, diskSize)
  })

/** The ends of all structures of `made`, by name. */
const boundaries: [string, number][] = [
  ['the copy of the footer', 512],
  ['the header', 1536],
  ['the entries of the table', made.tableOffset + 24],
  ['the table', made.batmapOffset],
  ["the batmap's header", made.batmapOffset + 512],
  ["the batmap's bits", made.batmapOffset + 1024],
  ...made.blockOffsets.flatMap((offset, index): [string, number][] => [
    [`what comes before block ${index} of the file`, offset],
    [`the bitmap of block ${index} of the file`, offset + 512],
    [`the data of block ${index} of the file`, offset + 512 + 512 * KiB],
  ]),
]

describe('a stream that is cut', () => {
  test.each(boundaries)(
    'after %s (%d) is refused as cut, its length known or not',
    async (_name, end) => {
      for (const cut of [end - 1, end, end + 1]) {
        const bytes = made.bytes.subarray(0, cut)
        expect(await decodeOutcome(bytes, made.bytes.length), `at ${cut}`).toBe('VDI_IO_ERROR')
        expect(await decodeOutcome(bytes), `at ${cut}`).toBe('VDI_IO_ERROR')
      }
    },
  )

  test('in its closing footer is refused as cut', async () => {
    for (const missing of [2, 100, 510, 511]) {
      const bytes = made.bytes.subarray(0, -missing)
      expect(await decodeOutcome(bytes, made.bytes.length)).toBe('VDI_IO_ERROR')
      expect(await decodeOutcome(bytes)).toBe('VDI_IO_ERROR')
    }
  })

  test('is taken when whole', async () => {
    const expected = { virtualSize: 3 * MiB, written: 1024 * KiB + 899 * 512 }
    expect(await decodeAll(made.bytes, made.bytes.length)).toEqual(expected)
    expect(await decodeAll(made.bytes)).toEqual(expected)
  })

  test('and fixed, of unknown length, is no VHD', async () => {
    const bytes = buildFixedVhd({ size: MiB })
    for (const diskSize of [MiB, undefined]) {
      for (const end of [512, 600, 512 * KiB, MiB, MiB + 100, MiB + 510]) {
        expect(await decodeOutcome(bytes.subarray(0, end), undefined, diskSize)).toBe(
          'IMPORT_ERROR_GENERIC',
        )
      }
      expect(await decodeOutcome(bytes, undefined, diskSize)).toBe('read')
    }
  })
})

describe('a file that is cut', () => {
  test.each(boundaries)('after %s (%d) is refused', async (_name, end) => {
    for (const cut of [end - 1, end, end + 1]) {
      const image = createMemoryImage(made.bytes.subarray(0, cut))
      // All blocks are there after the last of them: then only the closing footer is missing.
      const expected = cut >= made.footerOffset ? 'read' : 'IMPORT_ERROR_GENERIC'
      expect(await outcomeOf(() => openAndRead(image)), `at ${cut}`).toBe(expected)
    }
  })

  test('while it is read gives the error of the read', async () => {
    const memory = createMemoryImage(made.bytes)
    for (const gone of [0, 512, made.tableOffset, made.batmapOffset, ...made.blockOffsets]) {
      const outcome = await outcomeOf(() =>
        openAndRead({
          size: memory.size,
          async read(offset, target) {
            if (offset <= gone && gone < offset + target.length) throw cutShort('test', 'gone')
            await memory.read(offset, target)
          },
          close: () => memory.close(),
        }),
      )
      // Two bitmaps the batmap makes unneeded.
      expect(['VDI_IO_ERROR', 'read'], `at ${gone}`).toContain(outcome)
      expect(outcome === 'read').toBe([made.blockOffsets[0], made.blockOffsets[2]].includes(gone))
    }
  })
})

/** Where fields are: flips there go deepest. */
const interesting = fc.oneof(
  fc.integer({ min: 0, max: 90 }),
  fc.integer({ min: 512, max: 512 + 72 }),
  fc.integer({ min: 512 + 576, max: 512 + 600 }),
  fc.integer({ min: made.tableOffset, max: made.tableOffset + 24 }),
  fc.integer({ min: made.batmapOffset, max: made.batmapOffset + 30 }),
  fc.integer({ min: 0, max: made.bytes.length - 1 }),
)

const flips = fc.array(fc.tuple(interesting, fc.integer({ min: 0, max: 7 })), {
  minLength: 1,
  maxLength: 6,
})

const flipped = (bits: readonly (readonly [number, number])[], isSealed: boolean): Buffer => {
  const bytes = Buffer.from(made.bytes)
  for (const [at, bit] of bits) bytes[at]! ^= 1 << bit
  if (isSealed) {
    sealFooter(bytes, 0)
    sealHeader(bytes, 512)
    // The closing footer is the copy's, or open would believe the one that is whole.
    bytes.copy(bytes, made.footerOffset, 0, 512)
  }
  return bytes
}

describe('flipped bits', () => {
  test('never bring down open or its disk', () =>
    fc.assert(
      fc.asyncProperty(flips, fc.boolean(), async (bits, isSealed) => {
        const outcome = await outcomeOf(() =>
          openAndRead(createMemoryImage(flipped(bits, isSealed))),
        )
        expect(['read', 'IMPORT_ERROR_GENERIC']).toContain(outcome)
      }),
      { numRuns: 400 },
    ))

  test('never bring down decode, nor make it write outside the disk', () =>
    fc.assert(
      fc.asyncProperty(flips, fc.boolean(), fc.boolean(), async (bits, isSealed, isKnown) => {
        const bytes = flipped(bits, isSealed)
        const outcome = await decodeOutcome(bytes, isKnown ? bytes.length : undefined)
        expect(['read', 'IMPORT_ERROR_GENERIC', 'VDI_IO_ERROR']).toContain(outcome)
      }),
      { numRuns: 400 },
    ))

  test('any bytes at all are refused', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
        expect(await outcomeOf(() => openAndRead(createMemoryImage(bytes)))).toBe(
          'IMPORT_ERROR_GENERIC',
        )
        expect(await decodeOutcome(bytes, bytes.length, MiB)).not.toBe('read')
      }),
    ))
})

describe('a lie about sizes', () => {
  /** How many bytes of buffers an attempt makes, garbage included. */
  const allocatedBy = async (attempt: () => Promise<string>): Promise<[string, number]> => {
    const before = process.memoryUsage().arrayBuffers
    const outcome = await attempt()
    return [outcome, process.memoryUsage().arrayBuffers - before]
  }

  const lying = (entries: number, size: number): Buffer => {
    const bytes = Buffer.from(made.bytes)
    bytes.writeUInt32BE(entries, 512 + 28)
    bytes.writeBigUInt64BE(BigInt(size), 48)
    sealHeader(bytes, 512)
    sealFooter(bytes, 0)
    bytes.copy(bytes, made.footerOffset, 0, 512)
    return bytes
  }

  test.each([
    ['a table of 2^32 - 1 entries', 0xffffffff, 3 * MiB],
    ['a table of 2^32 - 1 entries for a disk of 2040 GiB', 0xffffffff, 2040 * GiB],
    ['a table larger than the file', 4 * MiB, 2040 * GiB],
  ])('%s allocates nothing to speak of', async (_name, entries, size) => {
    const bytes = lying(entries, size)
    const image = createMemoryImage(bytes)
    for (const attempt of [
      () => outcomeOf(() => openAndRead(image)),
      () => decodeOutcome(bytes, bytes.length),
    ]) {
      const [outcome, allocated] = await allocatedBy(attempt)
      expect(outcome).toBe('IMPORT_ERROR_GENERIC')
      expect(allocated).toBeLessThan(MiB)
    }
  })

  test('in a stream of unknown length costs a table at most', async () => {
    const bytes = lying(4 * MiB, 2040 * GiB)
    const [outcome, allocated] = await allocatedBy(() => decodeOutcome(bytes))
    expect(outcome).toBe('VDI_IO_ERROR')
    expect(allocated).toBeLessThan(20 * MiB)
  })
})

test('the largest gap between blocks is passed over without being held', async () => {
  const built = buildVhd({ size: 3 * MiB, blocks: [{ block: 0 }, { block: 1, gap: 64 * MiB }] })
  const before = process.memoryUsage().arrayBuffers
  expect(await decodeAll(built.bytes)).toEqual({ virtualSize: 3 * MiB, written: 3 * MiB })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MiB)
})

test('a stream that breaks names where it was', async () => {
  const bytes = await readAll(await vhd.plan(createPatternDisk([['data', 5 * MiB]]), testIdentity))
  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 3 * MiB)
    throw new Error('ECONNRESET')
  }
  const decoded = await vhd.decode(createForwardReader(breaking()), {
    buffers: createBufferPool(4, MiB),
    openSpool: () => Promise.reject(new Error('A VHD needs no spool')),
  })
  const writing = (async () => {
    for await (const write of decoded.writes()) if (write.kind === 'data') write.release?.()
  })()
  await expect(writing).rejects.toMatchObject({
    code: 'VDI_IO_ERROR',
    message: 'Cannot read the upload: the connection broke after 3145728 bytes',
  })
})
