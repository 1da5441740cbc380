// What every ImageFormat keeps: open, plan, decode, and createLayer where there is one, are views
// of one disk.

import { expect, test } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { Disk, DiskWriter } from '../../src/disk/disk.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import type {
  DecodedImage,
  ImageFormat,
  ImageIdentity,
  LayerFormat,
} from '../../src/formats/format.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { spoolOn } from '../../src/image/spool.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import type { PatternPart } from '../support/disks.ts'
import {
  createPatternDisk,
  createRecordingDisk,
  cutInChunks,
  expectSameBytes,
  readAll,
  readRange,
} from '../support/disks.ts'

export const testIdentity: ImageIdentity = {
  uuid: '6d3f2f4e-7c1b-4a57-9d0e-1f2a3b4c5d6e',
  timestamp: new Date('2026-01-02T03:04:05Z'),
}

/** Disks that every format must carry; sizes are whole sectors. */
export const lawDisks: Record<string, readonly PatternPart[]> = {
  'one sector of data': [['data', SECTOR_SIZE]],
  empty: [['hole', 5 * MiB]],
  full: [['data', 5 * MiB]],
  'a sector off a cluster': [
    ['data', 64 * KiB + SECTOR_SIZE],
    ['hole', 3 * MiB],
  ],
  'a sector short of a block': [
    ['hole', 2 * MiB],
    ['data', 2 * MiB - SECTOR_SIZE],
  ],
  scattered: [
    ['hole', 192 * KiB],
    ['data', 4 * KiB],
    ['hole', 60 * KiB],
    ['zero', 128 * KiB],
    ['data', 3 * MiB],
    ['hole', 7 * MiB],
    ['data', SECTOR_SIZE],
    ['zero', MiB],
    ['hole', 513 * SECTOR_SIZE],
    ['data', 130 * KiB],
  ],
}

/** Decodes `bytes`, cut in chunks of the given lengths. */
export const decodeBytes = (
  format: ImageFormat,
  bytes: Uint8Array,
  chunkLengths: readonly number[] = [64 * KiB],
  diskSize?: number,
): Promise<DecodedImage> =>
  format.decode(createForwardReader(cutInChunks(bytes, chunkLengths)), {
    buffers: createBufferPool(4, MiB),
    openSpool: async () => spoolOn(createMemoryImage()),
    streamLength: bytes.length,
    ...(diskSize === undefined ? {} : { diskSize }),
  })

/** What a decoder yields, on a memory disk of the image's size. */
export const rebuild = async (decoded: DecodedImage): Promise<Disk> => {
  const disk = createMemoryDisk(decoded.virtualSize)
  await copyWrites(decoded.writes(), disk)
  return disk
}

/**
 * Writes `disk`'s data and zeros through `writer` in pieces of `step` bytes, in the order given by
 * `arrange`.
 */
export const writeDisk = async (
  disk: Disk,
  writer: DiskWriter,
  step: number,
  arrange: <T>(pieces: T[]) => T[] = (pieces) => pieces,
): Promise<void> => {
  const pieces: { offset: number; length: number; kind: string }[] = []
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind === 'hole') continue
    for (let at = offset; at < offset + length; at += step) {
      pieces.push({ offset: at, length: Math.min(step, offset + length - at), kind })
    }
  }
  for (const { offset, length, kind } of arrange(pieces)) {
    if (kind === 'zero') await writer.zero(offset, length)
    else await writer.write(offset, await readRange(disk, offset, length))
  }
}

export const formatLaws = (format: ImageFormat): void => {
  const plan = (disk: Disk) => format.plan(disk, testIdentity)

  for (const [name, parts] of Object.entries(lawDisks)) {
    test(`${format.name}, ${name}: open(plan(d)) is d`, async () => {
      const disk = createPatternDisk(parts)
      const bytes = await readAll(await plan(disk))
      const opened = await format.open(createMemoryImage(bytes))
      expect(opened.size).toBe(disk.size)
      expectSameBytes(await readAll(opened), await readAll(disk))
      await opened.close()
    })

    test(`${format.name}, ${name}: any range of plan(d) is a slice of the whole`, async () => {
      const image = await plan(createPatternDisk(parts))
      const whole = await readAll(image)
      for (const step of [1000, 4096, 65_536 + 512, 300_007]) {
        expectSameBytes(await readAll(image, step), whole, `in reads of ${step}`)
      }
      const end = image.size
      for (const offset of [0, 1, 511, 512, 1535, 2047, 65_535, end - 513, end - 1]) {
        if (offset < 0 || offset >= end) continue
        const length = Math.min(777, end - offset)
        const part = await readRange(image, offset, length)
        expectSameBytes(part, whole.subarray(offset, offset + length), `${length} at ${offset}`)
      }
      await image.close()
    })

    test(`${format.name}, ${name}: decode(plan(d)), cut in any chunks, rebuilds d`, async () => {
      const disk = createPatternDisk(parts)
      const bytes = await readAll(await plan(disk))
      const expected = await readAll(disk)
      for (const chunks of [[bytes.length], [64 * KiB], [511, 1, 70_000, 3], [4096, 65_537]]) {
        const decoded = await decodeBytes(format, bytes, chunks)
        expect(decoded.virtualSize).toBe(disk.size)
        expect(decoded.isDelta).toBe(false)
        expectSameBytes(
          await readAll(await rebuild(decoded)),
          expected,
          `chunks of ${chunks.join()}`,
        )
      }
    })
  }

  test(`${format.name}: plan is a function of disk and identity alone`, async () => {
    const parts = lawDisks['scattered']!
    const first = await readAll(await plan(createPatternDisk(parts)))
    const second = await readAll(await plan(createPatternDisk(parts)))
    expectSameBytes(first, second)
  })

  test(`${format.name}: plan reads no data, and its image reads only data`, async () => {
    const recording = createRecordingDisk(createPatternDisk(lawDisks['scattered']!))
    const image = await plan(recording.disk)
    expect(recording.reads).toEqual([])
    await readAll(image)
    expect(recording.reads.length).toBeGreaterThan(0)
    // Blocks of 32 MiB are whole.
    if (format.name === 'raw' || format.name === 'vhdx') return
    const longestHole = { from: 4 * MiB, to: 10 * MiB }
    for (const { offset, length } of recording.reads) {
      expect(offset >= longestHole.to || offset + length <= longestHole.from).toBe(true)
    }
  })

  test(`${format.name}: closing the image closes the disk`, async () => {
    const recording = createRecordingDisk(createPatternDisk(lawDisks['scattered']!))
    const image = await plan(recording.disk)
    expect(recording.closes()).toBe(0)
    await image.close()
    await image.close()
    expect(recording.closes()).toBeGreaterThan(0)
  })

  test(`${format.name}: a stream cut anywhere is refused, never taken as whole`, async () => {
    const bytes = await readAll(await plan(createPatternDisk(lawDisks['scattered']!)))
    const cuts = [0, 1, 511, 512, 1536, 2048, 65_536, 70_000]
    cuts.push(...Array.from({ length: 40 }, (_, index) => Math.floor((bytes.length * index) / 40)))
    cuts.push(bytes.length - 513, bytes.length - 512, bytes.length - 511, bytes.length - 1)
    for (const cut of cuts) {
      if (cut < 0 || cut >= bytes.length) continue
      const attempt = async (): Promise<void> => {
        const stream = createForwardReader(cutInChunks(bytes.subarray(0, cut), [64 * KiB]))
        const decoded = await format.decode(stream, {
          buffers: createBufferPool(4, MiB),
          openSpool: async () => spoolOn(createMemoryImage()),
          streamLength: bytes.length,
        })
        await rebuild(decoded)
      }
      await expect(attempt(), `cut at ${cut}`).rejects.toMatchObject({ code: 'VDI_IO_ERROR' })
    }
  })
}

/** What those keep that VDIs may lie in, besides formatLaws. */
export const layerLaws = (format: LayerFormat): void => {
  for (const [name, parts] of Object.entries(lawDisks)) {
    test(`${format.name}, ${name}: a layer written in any order opens as d`, async () => {
      const disk = createPatternDisk(parts)
      const arrangements: (<T>(pieces: T[]) => T[])[] = [
        (pieces) => pieces,
        (pieces) => pieces.toReversed(),
        (pieces) => [
          ...pieces.filter((_, index) => index % 3 === 1),
          ...pieces.filter((_, index) => index % 3 !== 1),
        ],
      ]
      for (const arrange of arrangements) {
        for (const step of [MiB, 24 * KiB]) {
          const file = createMemoryImage()
          const layer = await format.createLayer(file, {
            size: disk.size,
            uuid: testIdentity.uuid,
            timestamp: testIdentity.timestamp,
          })
          await writeDisk(disk, layer, step, arrange)
          await layer.seal()
          const opened = await format.open(file)
          expect(opened.size).toBe(disk.size)
          expectSameBytes(await readAll(opened), await readAll(disk), `in steps of ${step}`)
        }
      }
    })

    test(`${format.name}, ${name}: a layer may turn out to be smaller when it is sealed`, async () => {
      const disk = createPatternDisk(parts)
      const file = createMemoryImage()
      const { uuid, timestamp } = testIdentity
      const layer = await format.createLayer(file, {
        size: disk.size + 70 * MiB,
        uuid,
        timestamp,
      })
      await writeDisk(disk, layer, MiB)
      await layer.seal(disk.size)
      const opened = await format.open(file)
      expect(opened.size).toBe(disk.size)
      expectSameBytes(await readAll(opened), await readAll(disk))
    })
  }
}
