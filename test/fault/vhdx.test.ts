// VHDX images that are cut, damaged or lie: each is refused by name at rest and from a stream, and
// none makes large allocations.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { vhdx } from '../../src/formats/vhdx/vhdx.ts'
import { KiB, MiB, TiB } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk } from '../support/disks.ts'
import {
  decodeFaulty,
  expectRefused as expectAllRefused,
  openFaulty,
} from '../support/faulty-images.ts'
import type { TestBlock } from '../support/vhdx-images.ts'
import {
  buildLocator,
  buildVhdx,
  newerHeaderAt,
  seal,
  testParentGuid,
} from '../support/vhdx-images.ts'

const blocks: readonly TestBlock[] = [
  { state: 6, place: 5 },
  { state: 0 },
  { state: 6, place: 4 },
  { state: 2 },
]
const good = buildVhdx({ size: 4 * MiB, blocks, length: 6 })

const partial: readonly TestBlock[] = [{ state: 7, place: 5, sectors: [1, 2] }, { state: 0 }]
const parent = { parent_linkage: testParentGuid }
const goodDelta = buildVhdx({ size: 2 * MiB, blocks: partial, bitmapAt: 4, parent, length: 6 })

const decodeAll = (bytes: Uint8Array, streamLength?: number): Promise<number> =>
  decodeFaulty(vhdx, bytes, streamLength)

const openAll = (bytes: Uint8Array): Promise<number> => openFaulty(vhdx, bytes)

const expectRefused = (bytes: Uint8Array, message: string | RegExp): Promise<void> =>
  expectAllRefused([openAll(bytes), decodeAll(bytes)], message)

const changed = (change: (bytes: Buffer) => void, image = good): Buffer => {
  const bytes = Buffer.from(image)
  change(bytes)
  return bytes
}

test('the images that the faults are made of are taken', async () => {
  expect(await openAll(good)).toBe(4 * MiB)
  expect(await decodeAll(good)).toBe(4 * MiB)
  expect(await decodeAll(goodDelta)).toBe(1536)
})

describe('headers', () => {
  const withHeader = (change: (bytes: Buffer) => void): Buffer =>
    changed((bytes) => {
      change(bytes.subarray(newerHeaderAt))
      seal(bytes, newerHeaderAt, 4 * KiB)
    })

  test('another identifier is no VHDX', async () => {
    await expectRefused(
      changed((bytes) => void bytes.write('vhdxfilf')),
      'this is no VHDX: it does not begin with vhdxfile',
    )
  })

  test('one that is damaged is passed over, both are refused', async () => {
    const one = changed((bytes) => bytes.fill(7, newerHeaderAt + 80, newerHeaderAt + 90))
    expect(await openAll(one)).toBe(4 * MiB)
    expect(await decodeAll(one)).toBe(4 * MiB)
    const both = changed((bytes) => bytes.fill(7, 64 * KiB + 80, 64 * KiB + 90), one)
    await expectRefused(both, 'neither header, at 0x10000 and 0x20000, is whole')
  })

  test.each([
    ['version', (bytes: Buffer) => bytes.writeUInt16LE(2, 66), 'the version is 2, only 1'],
    [
      'log version',
      (bytes: Buffer): void => void bytes.fill(1, 48, 65),
      'the version of the log is 1, only 0 is supported',
    ],
    [
      'log length',
      (bytes: Buffer): unknown => bytes.fill(1, 48, 64).writeUInt32LE(0xfff00000, 68),
      'the log has a length of 4293918720, must be whole MiB, up to',
    ],
    [
      'log without length',
      (bytes: Buffer): unknown => bytes.fill(1, 48, 64).writeUInt32LE(0, 68),
      'the log has a length of 0, must be whole MiB',
    ],
    [
      'log offset',
      (bytes: Buffer): unknown => bytes.fill(1, 48, 64).writeBigUInt64LE(4096n, 72),
      'the log is at 0x1000, must be at a whole MiB',
    ],
    [
      'log on the metadata',
      (bytes: Buffer): unknown => bytes.fill(1, 48, 64).writeBigUInt64LE(BigInt(2 * MiB), 72),
      /the (log|metadata) at 0x200000 overlaps the (log|metadata), which ends at 0x300000/,
    ],
    [
      'log past the end',
      (bytes: Buffer): unknown => bytes.fill(1, 48, 64).writeBigUInt64LE(2n ** 63n, 72),
      'log offset: 0x8000000000000000 is larger than 2^53 - 1',
    ],
    [
      'log that is empty',
      (bytes: Buffer): unknown => bytes.fill(1, 48, 64),
      'it should hold updates, but there is no whole sequence of them',
    ],
  ] as const)('%s', async (_name, change, message) => {
    await expectRefused(withHeader(change), message)
  })
})

describe('region tables', () => {
  const withRegions = (change: (bytes: Buffer) => void): Buffer =>
    changed((bytes) => {
      for (const at of [192 * KiB, 256 * KiB]) {
        change(bytes.subarray(at))
        seal(bytes, at, 64 * KiB)
      }
    })

  test('one that is damaged is passed over, both are refused', async () => {
    const one = changed((bytes) => bytes.fill(7, 192 * KiB + 200, 192 * KiB + 210))
    expect(await decodeAll(one)).toBe(4 * MiB)
    const both = changed((bytes) => bytes.fill(7, 256 * KiB + 200, 256 * KiB + 210), one)
    await expectRefused(both, 'neither region table, at 0x30000 and 0x40000, is whole')
  })

  test.each([
    [(bytes: Buffer) => bytes.writeUInt32LE(0xffffffff, 8), 'has 4294967295 entries, the limit'],
    [(bytes: Buffer) => bytes.writeUInt32LE(0, 8), 'there is no region of metadata'],
    [(bytes: Buffer) => bytes.writeUInt32LE(1, 8), 'there is no region of metadata'],
    [(bytes: Buffer) => bytes.fill(1, 16, 32), /the region 01010101-.* is not known and must be/],
    [(bytes: Buffer) => bytes.copy(bytes, 48, 16, 32), 'there are two regions of block table'],
    [(bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 60n, 32), 'is larger than 2^53 - 1'],
    [(bytes: Buffer) => bytes.writeBigUInt64LE(4096n, 32), 'is at 0x1000, must be whole MiB'],
    [(bytes: Buffer) => bytes.writeBigUInt64LE(0n, 32), 'is at 0x0, must be whole MiB from 1 MiB'],
    [(bytes: Buffer) => bytes.writeUInt32LE(0, 40), 'block table of 0 bytes is at'],
    [(bytes: Buffer) => bytes.writeUInt32LE(4096, 40), 'block table of 4096 bytes is at'],
    [
      (bytes: Buffer) => bytes.writeBigUInt64LE(BigInt(2 * MiB), 32),
      /at 0x200000 overlaps the .*, which ends at 0x300000/,
    ],
  ] as const)('%#: %s', async (change, message) => {
    await expectRefused(
      withRegions((bytes) => void change(bytes)),
      message,
    )
  })

  test('regions past the end are never waited for in vain', async () => {
    const far = withRegions((bytes) => bytes.writeBigUInt64LE(BigInt(2 ** 50), 32))
    await expect(openAll(far)).rejects.toThrow('the block table of 1048576 bytes')
    await expect(decodeAll(far)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })
})

describe('metadata', () => {
  const at = 2 * MiB
  const withMetadata = (change: (bytes: Buffer) => unknown, image = good): Buffer =>
    changed((bytes) => void change(bytes.subarray(at)), image)
  const item = 64 * KiB

  test.each([
    [(bytes: Buffer) => bytes.write('metadatb'), 'there is no metadata at 0x200000'],
    [(bytes: Buffer) => bytes.writeUInt16LE(0xffff, 10), 'has 65535 entries, the limit is 2047'],
    [(bytes: Buffer) => bytes.writeUInt16LE(0, 10), 'the metadata lacks the file parameters'],
    [(bytes: Buffer) => bytes.fill(1, 32, 48), /the metadata 01010101-.* is not known and must/],
    [(bytes: Buffer) => bytes.writeUInt32LE(5, 56), 'is not known and must be understood'],
    [(bytes: Buffer) => bytes.copy(bytes, 64, 32, 48), 'has the file parameters twice'],
    [(bytes: Buffer) => bytes.writeUInt32LE(0, 48), 'the file parameters of 8 bytes at 0x0 is not'],
    [(bytes: Buffer) => bytes.writeUInt32LE(0xffffffff, 48), 'of 8 bytes at 0xffffffff is not'],
    [(bytes: Buffer) => bytes.writeUInt32LE(9, 52), 'the file parameters has 9 bytes, must have 8'],
    [(bytes: Buffer) => bytes.writeUInt32LE(512 * KiB, item), 'the block size is 524288, must be'],
    [(bytes: Buffer) => bytes.writeUInt32LE(3 * MiB, item), 'the block size is 3145728, must be'],
    [(bytes: Buffer) => bytes.writeUInt32LE(512 * MiB, item), 'the block size is 536870912, must'],
    [(bytes: Buffer) => bytes.writeUInt32LE(2, item + 4), 'the metadata lacks the parent locator'],
    [(bytes: Buffer) => bytes.writeUInt32LE(4, item + 4), 'the file parameters have the bits 0x4'],
    [(bytes: Buffer) => bytes.writeBigUInt64LE(0n, item + 4096), 'the virtual size is 0'],
    [
      (bytes: Buffer) => bytes.writeBigUInt64LE(BigInt(64 * TiB), item + 4096),
      'the virtual size is 70368744177664 bytes (64 TiB), the limit',
    ],
    [
      (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 64n - 1n, item + 4096),
      'virtual disk size: 0xffffffffffffffff is larger than 2^53 - 1',
    ],
    [
      (bytes: Buffer) => bytes.writeBigUInt64LE(513n, item + 4096),
      'the virtual size of 513 bytes is not a multiple of 512',
    ],
    [
      (bytes: Buffer) =>
        bytes.writeUInt32LE(4096, item + 8192) + bytes.writeBigUInt64LE(512n, item + 4096),
      'the virtual size of 512 bytes is not a multiple of its sectors of 4096',
    ],
    [
      (bytes: Buffer) => bytes.writeUInt32LE(1024, item + 8192),
      'the logical sector size is 1024, must be 512 or 4096',
    ],
    [
      (bytes: Buffer) => bytes.writeBigUInt64LE(BigInt(15 * TiB), item + 4096),
      'the block table of 1048576 bytes has no room for the 15732479 entries',
    ],
  ] as const)('%#: %s', async (change, message) => {
    await expectRefused(withMetadata(change), message)
  })

  const locatorAt = item + 3 * 4096
  const withLocator = (
    values: Record<string, string>,
    change?: (bytes: Buffer) => unknown,
  ): Buffer =>
    withMetadata((bytes) => {
      const locator = buildLocator(values)
      change?.(locator)
      locator.copy(bytes, locatorAt)
      bytes.writeUInt32LE(locator.length, 32 + 3 * 32 + 20)
    }, goodDelta)

  test.each([
    [withLocator({}), 'it does not name its parent (parent_linkage)'],
    [withLocator({ parent_linkage: '../../etc/passwd' }), 'it does not name its parent'],
    [withLocator(parent, (bytes) => bytes.fill(1, 0, 16)), 'its type 01010101-0101-'],
    [withLocator(parent, (bytes) => bytes.writeUInt16LE(0xffff, 18)), '65535 entries do not fit'],
    [withLocator(parent, (bytes) => bytes.writeUInt32LE(2 ** 31, 20)), 'leaves its'],
    [withLocator(parent, (bytes) => bytes.writeUInt16LE(0xffff, 30)), 'a text of 65535 bytes'],
  ] as const)('a parent locator, %#', async (bytes, message) => {
    await expectRefused(bytes, message)
  })
})

describe('block tables', () => {
  const table = 3 * MiB
  const withEntry = (index: number, place: number, state: number, image = good): Buffer =>
    changed((bytes) => {
      const entry = BigInt(place) * BigInt(MiB) + BigInt(state)
      bytes.writeBigUInt64LE(BigInt.asUintN(64, entry), table + index * 8)
    }, image)

  test.each([
    [withEntry(0, 5, 4), 'block 0 has the state 4, which is not known'],
    [withEntry(0, 5, 5), 'block 0 has the state 5, which is not known'],
    [withEntry(0, 5, 7), 'block 0 is there in part, which only a differencing image can have'],
    [withEntry(0, 0, 6), 'block 0 is at 0x0, where the header is'],
    [withEntry(0, 2, 6), 'block 0 at 0x200000 overlaps the metadata'],
    [withEntry(0, 3, 6), 'block 0 at 0x300000 overlaps the block table'],
    [withEntry(0, 4, 6), /block [02] at 0x400000 overlaps block [02] at 0x400000/],
    [withEntry(0, 4, 6, goodDelta), 'block 0 at 0x400000 overlaps the bitmap 0'],
    [withEntry(4096, 4, 2, goodDelta), 'the bitmap 0 has the state 2, must be 0 or 6'],
    [withEntry(4096, 3, 6, goodDelta), /at 0x300000 overlaps the .*, which ends at 0x400000/],
    [withEntry(4096, 0, 0, goodDelta), 'block 0 is there in part, but has no bitmap'],
  ] as const)('%#', async (bytes, message) => {
    await expectRefused(bytes, message)
  })

  test.each([
    [6, 'block 0 of 1048576 bytes at 0x600000 points past the end of the image, 0x600000'],
    [2 ** 44 - 1, 'block 0 is at 17592186044415 MiB, which is past the end of any image'],
  ] as const)('a block at %d MiB is past the end', async (place, message) => {
    await expect(openAll(withEntry(0, place, 6))).rejects.toThrow(message)
    await expect(decodeAll(withEntry(0, place, 6), good.length)).rejects.toThrow(message)
  })
})

test.each([
  ['whole', good],
  ['delta', goodDelta],
] as const)('%s: cut anywhere, it is refused', async (_name, image) => {
  for (let cut = 0; cut < image.length; cut += 99_991) {
    const attempt = decodeAll(image.subarray(0, cut), image.length)
    await expect(attempt, `cut at ${cut}`).rejects.toBeInstanceOf(AppError)
  }
})

test('any byte may be wrong: taken or refused, in bounds, without another kind of error', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom(good, goodDelta),
      fc.array(
        fc.tuple(
          fc.oneof(
            fc.integer({ min: 2 * MiB, max: 2 * MiB + 400 }),
            fc.integer({ min: 2 * MiB + 64 * KiB, max: 2 * MiB + 80 * KiB }),
            fc.integer({ min: 3 * MiB, max: 3 * MiB + 40 }),
          ),
          fc.integer({ min: 0, max: 255 }),
        ),
        { minLength: 1, maxLength: 4 },
      ),
      async (image, changes) => {
        const bytes = Buffer.from(image)
        for (const [at, value] of changes) bytes[at] = value
        const attempts = await Promise.allSettled([openAll(bytes), decodeAll(bytes, bytes.length)])
        const errors = attempts.flatMap((attempt): unknown[] =>
          attempt.status === 'rejected' ? [attempt.reason] : [],
        )
        expect(errors.filter((error) => !(error instanceof AppError))).toEqual([])
      },
    ),
    { numRuns: 60 },
  ))

test('no delta is planned', async () => {
  const base = { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date(0) }
  const disk = createPatternDisk([['data', 512]])
  await expect(vhdx.plan(disk, { ...testIdentity, base })).rejects.toMatchObject({
    code: 'VALUE_NOT_SUPPORTED',
    params: ['base', base.uuid, 'there is no vhdx delta, ask for vhd or qcow2'],
  })
})
