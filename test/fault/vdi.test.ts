// VDI images that are cut, damaged or lie: each is refused by name at rest and from a stream, and
// none makes large allocations.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { vdi } from '../../src/formats/vdi/vdi.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { GiB, KiB, MiB, TiB } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import { createPatternDisk, readAll } from '../support/disks.ts'
import {
  decodeFaulty,
  expectRefused as expectAllRefused,
  openFaulty,
} from '../support/faulty-images.ts'
import { buildVdi, vdiFields, withField } from '../support/vdi-images.ts'

const free = 0xffffffff
const zero = 0xfffffffe

const options = { size: 20 * KiB, entries: [1, free, 0, zero, 2], blockSize: 4 * KiB }
const good = buildVdi(options)

const decodeAll = (bytes: Uint8Array, streamLength?: number): Promise<number> =>
  decodeFaulty(vdi, bytes, streamLength)

const openAll = (bytes: Uint8Array): Promise<number> => openFaulty(vdi, bytes)

const expectRefused = (bytes: Uint8Array, message: string | RegExp): Promise<void> =>
  expectAllRefused(
    [
      openAll(bytes),
      decodeAll(bytes),
      vdi.describe(createMemoryImage(bytes)).then(() => openAll(bytes)),
    ],
    message,
  )

test('the image that the faults are made of is taken', async () => {
  expect(await openAll(good)).toBe(20 * KiB)
  expect(await decodeAll(good)).toBe(20 * KiB)
})

describe('a header', () => {
  const swapped = Buffer.from('6d3f2f4e7c1b4a579d0e1f2a3b4c5d6e', 'hex')
  const withUuid = (name: 'linkUuid' | 'parentUuid'): Buffer => {
    const bytes = Buffer.from(good)
    swapped.copy(bytes, vdiFields[name])
    return bytes
  }

  test.each([
    ['signature', 7, 'this is no VDI: at 64 the signature is 0x7, not 0xbeda107f'],
    ['version', 1, /the version is 0\.1, only 1\.1 is supported: .*VBoxManage clonemedium/],
    ['version', 0x10000, 'the version is 1.0, only 1.1 is supported'],
    ['version', 0x20001, 'the version is 2.1, only 1.1 is supported'],
    ['imageType', 3, /it is an undo image and holds only .*VBoxManage clonemedium/],
    ['imageType', 4, /it is a differencing image and holds only .*VBoxManage clonemedium/],
    ['imageType', 0, 'the image type is 0, must be 1 (dynamic) or 2 (fixed)'],
    ['imageType', 5, 'the image type is 5, must be'],
    ['headerLength', 0x17f, 'the header has 383 bytes, at least 384 are needed'],
    ['headerLength', 0x1b9, 'the map at 0x200 overlaps the header, which ends at 0x201'],
    ['headerLength', 0xffffffff, 'overlaps the header, which ends at 0x100000047'],
    [
      'blockExtraSize',
      512,
      /each block has 512 bytes of extra data, which is not supported: .*VBox/,
    ],
    ['diskSize', 0n, 'the virtual size is 0'],
    ['diskSize', 2n ** 63n, 'disk size: 0x8000000000000000 is larger than 2^53 - 1'],
    ['diskSize', BigInt(20 * TiB), 'the virtual size is 21990232555520 bytes (20 TiB), the limit'],
    ['diskSize', BigInt(21 * KiB), '5 blocks of 4096 bytes do not cover the disk of 21504 bytes'],
    ['blockSize', 0, 'the block size is 0, must be a power of two, 4096 bytes (4 KiB) to'],
    ['blockSize', 2048, 'the block size is 2048, must be'],
    ['blockSize', 12 * KiB, 'the block size is 12288, must be'],
    ['blockSize', 512 * MiB, 'the block size is 536870912, must be'],
    ['blockSize', 0x80000000, 'the block size is 2147483648, must be'],
    ['blockCount', 4, '4 blocks of 4096 bytes do not cover the disk of 20480 bytes'],
    ['blockCount', 0xffffffff, 'the map has 4294967295 entries, the limit is 16777216'],
    ['allocatedCount', 6, '6 blocks are allocated, there are only 5'],
    ['mapOffset', 0, 'the map at 0x0 overlaps the header, which ends at 0x1c8'],
    ['mapOffset', 0xfff, 'the data at 0x1000 overlaps the map, which ends at 0x1013'],
    ['dataOffset', 0x213, 'the data at 0x213 overlaps the map, which ends at 0x214'],
  ] as const)('whose %s is %s is refused', async (name, value, message) => {
    await expectRefused(withField(good, name, value), message)
  })

  test.each(['linkUuid', 'parentUuid'] as const)('with a %s lies on another', async (name) => {
    const parent = '4e2f3f6d-1b7c-574a-9d0e-1f2a3b4c5d6e'
    await expectRefused(
      withUuid(name),
      RegExp(`it names ${parent} as its parent and holds only .*VBoxManage clonemedium`),
    )
  })

  test('with a map that nobody sent costs no memory', async () => {
    const sized = withField(good, 'diskSize', BigInt(13 * TiB))
    const large = withField(withField(sized, 'blockSize', MiB), 'blockCount', 16 * MiB)
    const huge = withField(withField(large, 'dataOffset', 0x10000000), 'allocatedCount', 16 * MiB)
    await expect(openAll(huge)).rejects.toThrow(
      'the map of 16777216 entries at 0x200 points past the end of the image, 0x4000',
    )
    const begun = Buffer.concat([huge.subarray(0, 512), Buffer.alloc(256 * KiB, 0xff)])
    const before = process.memoryUsage().arrayBuffers
    await expect(decodeAll(begun)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MiB)
  })

  test('may have a length that is no whole sectors: the disk is rounded up', async () => {
    const odd = withField(good, 'diskSize', BigInt(20 * KiB - 100))
    expect(await openAll(odd)).toBe(20 * KiB)
    expect(await decodeAll(odd)).toBe(20 * KiB)
  })
})

describe('a map', () => {
  const withMap = (entries: readonly number[], allocatedCount = 3): Buffer =>
    buildVdi({ ...options, entries, allocatedCount })

  test.each([
    [[1, free, 3, zero, 0], 'block 2 has the index 3, only 3 blocks are allocated'],
    [[1, 0xfffffffd, free, free, 0], 'block 1 has the index 4294967293, only 3 blocks are'],
    [[2, free, 0, zero, 2], 'blocks 0 and 4 are both at 0x3000, index 2'],
    [[0, 0, free, free, free], 'blocks 0 and 1 are both at 0x1000, index 0'],
  ])('%j is refused', async (entries, message) => {
    await expectRefused(withMap(entries), message)
  })

  test('that leads past the end of the file is refused; of a stream, as cut', async () => {
    const short = good.subarray(0, -1)
    const message = 'block 4 of 4096 bytes at 0x3000 points past the end of the image, 0x3fff'
    await expect(openAll(short)).rejects.toThrow(message)
    await expect(decodeAll(short, short.length)).rejects.toThrow(message)
    await expect(decodeAll(short)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
  })

  test('may have room for more blocks than the disk has', async () => {
    const roomy = withMap([1, free, 0, zero, 2, free, 0xfffffffd])
    expect(await openAll(roomy)).toBe(20 * KiB)
    expect(await decodeAll(roomy)).toBe(20 * KiB)
  })
})

describe('a stream that is cut', () => {
  test.each([0, 63, 511, 512, 531, 4096, 4097, 8191, 12_288, 16_383])(
    'after %d bytes is refused as cut, its length known or not',
    async (end) => {
      const cut = good.subarray(0, end)
      for (const length of [undefined, good.length]) {
        await expect(decodeAll(cut, length)).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
      }
    },
  )
})

test('any damage is refused with an AppError, or read within the bounds', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(
          fc.oneof(fc.integer({ min: 64, max: 80 }), fc.integer({ min: 340, max: 540 })),
          fc.integer({ min: 0, max: 7 }),
        ),
        { minLength: 1, maxLength: 4 },
      ),
      async (flips) => {
        const bytes = Buffer.from(good)
        for (const [at, bit] of flips) bytes[at]! ^= 1 << bit
        for (const attempt of [openAll(bytes), decodeAll(bytes)]) {
          const outcome = await attempt.catch((error: unknown) => error)
          expect(typeof outcome === 'number' || outcome instanceof AppError).toBe(true)
        }
      },
    ),
    { numRuns: 300 },
  ))

describe('what cannot be exported', () => {
  test('a delta', async () => {
    const base = { uuid: '11111111-2222-4333-8444-555555555555', timestamp: new Date(0) }
    await expect(
      vdi.plan(createPatternDisk([['data', MiB]]), { ...testIdentity, base }),
    ).rejects.toThrow('there is no vdi delta, ask for vhd or qcow2')
  })

  test('a disk above the limit', async () => {
    await expect(
      vdi.plan(createPatternDisk([['hole', 16 * 1024 * GiB]]), testIdentity),
    ).rejects.toMatchObject({ code: 'VDI_TOO_LARGE' })
  })
})

test('the image names the VDI, and another content gets another change id', async () => {
  const parts = [['data', 512]] as const
  const bytes = await readAll(await vdi.plan(createPatternDisk(parts), testIdentity))
  expect(await vdi.describe(createMemoryImage(bytes))).toEqual({
    imageUuid: testIdentity.uuid,
    isHidden: false,
  })
  const later = { ...testIdentity, timestamp: new Date('2026-02-02T00:00:00Z') }
  const other = await readAll(await vdi.plan(createPatternDisk(parts), later))
  const changed = [...bytes.keys()].filter((at) => bytes[at] !== other[at])
  expect(changed.length).toBeGreaterThan(8)
  expect(Math.min(...changed)).toBeGreaterThanOrEqual(408)
  expect(Math.max(...changed)).toBeLessThan(424)
})
