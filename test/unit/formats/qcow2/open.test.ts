// How an image at rest is read: which reads of the file it takes.

import { describe, expect, test } from 'vitest'
import type { ByteRange } from '../../../../src/disk/extents.ts'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import type { Image } from '../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { KiB, MAXIMUM_DISK_SIZE, MiB, TiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import { createPatternDisk, listExtents, readAll, readRange } from '../../../support/disks.ts'
import type { ClusterContent } from '../../../support/qcow2-image.ts'
import { buildImage } from '../../../support/qcow2-image.ts'

/** Passes reads on and keeps their ranges; `fail` may throw for one. */
const createRecordingImage = (image: Image, fail?: (range: ByteRange) => void) => {
  const reads: ByteRange[] = []
  let closes = 0
  const recording: Image = {
    size: image.size,
    async read(offset, target, signal) {
      const range = { offset, length: target.length }
      fail?.(range)
      reads.push(range)
      await image.read(offset, target, signal)
    },
    async close() {
      closes += 1
    },
  }
  return { image: recording, reads, closes: () => closes }
}

const dataClusters = (count: number): Map<number, ClusterContent> =>
  new Map(Array.from({ length: count }, (_, cluster) => [cluster, 'data']))

describe('reading', () => {
  test('clusters that follow each other in the image are one read, across L2 tables too', async () => {
    const { bytes, offsets } = buildImage({
      version: 3,
      clusterBits: 9,
      virtualSize: 512 * 200,
      clusters: dataClusters(200),
    })
    const { image, reads } = createRecordingImage(createMemoryImage(bytes))
    const disk = await qcow2.open(image)
    await readRange(disk, 0, 512 * 200)
    reads.length = 0
    await readRange(disk, 100, 512 * 200 - 200)
    expect(reads).toEqual([{ offset: offsets.get('data:0')! + 100, length: 512 * 200 - 200 }])
  })

  test('holes and zero clusters are not read', async () => {
    const { bytes, offsets } = buildImage({
      version: 3,
      clusterBits: 9,
      virtualSize: 512 * 10,
      clusters: new Map([
        [1, 'zero'],
        [2, 'zeroAllocated'],
        [4, 'data'],
      ]),
    })
    const { image, reads } = createRecordingImage(createMemoryImage(bytes))
    const disk = await qcow2.open(image)
    reads.length = 0
    await readAll(disk)
    expect(reads).toEqual([
      { offset: offsets.get('l2:0')!, length: 512 },
      { offset: offsets.get('data:4')!, length: 512 },
    ])
  })

  test('readers of one piece of an L2 table share one read of it', async () => {
    const image = await qcow2.plan(createPatternDisk([['data', 3 * MiB]]), testIdentity)
    const file = createMemoryImage(await readAll(image))
    const recording = createRecordingImage(file)
    const disk = await qcow2.open(recording.image)
    recording.reads.length = 0
    await Promise.all([0, 1, 2].map((index) => readRange(disk, index * MiB, MiB)))
    expect(recording.reads.filter(({ length }) => length === 4 * KiB)).toHaveLength(1)
    expect(recording.reads).toHaveLength(4)
  })

  test('pieces of L2 tables are kept up to 4 MiB, the one least lately used goes first', async () => {
    // A table of 2 MiB has 512 pieces of 4 KiB, of which 1024 fit; here are three tables.
    const entries = (2 * MiB) / 8
    const clusters = new Map<number, ClusterContent>()
    for (let table = 0; table < 3; table += 1) clusters.set(table * entries, 'zero')
    const virtualSize = 3 * entries * 2 * MiB
    const spec = { version: 3 as const, clusterBits: 21, clusters }
    // Built for a small disk, for the builder makes all of its content.
    const { bytes, offsets } = buildImage({ ...spec, virtualSize: 512 })
    const view = new DataView(bytes.buffer)
    view.setBigUint64(24, BigInt(virtualSize))
    view.setUint32(36, 3)
    const { image, reads } = createRecordingImage(createMemoryImage(bytes))
    const disk = await qcow2.open(image)
    const touch = async (piece: number): Promise<number> => {
      reads.length = 0
      await readRange(disk, piece * 512 * 2 * MiB, 512)
      const inside = (piece % 512) * 4 * KiB
      const at = offsets.get(`l2:${Math.floor(piece / 512)}`)! + inside
      return reads.filter(({ offset, length }) => offset === at && length === 4 * KiB).length
    }
    for (let piece = 0; piece < 1024; piece += 1) expect(await touch(piece)).toBe(1)
    expect(await touch(0)).toBe(0)
    expect(await touch(1024)).toBe(1)
    expect(await touch(0)).toBe(0)
    expect(await touch(1)).toBe(1)
  })

  test('an L2 table that could not be read is read again', async () => {
    const image = await qcow2.plan(createPatternDisk([['data', MiB]]), testIdentity)
    const bytes = await readAll(image)
    let broken = false
    const recording = createRecordingImage(createMemoryImage(bytes), () => {
      if (broken) throw new Error('EIO')
    })
    const disk = await qcow2.open(recording.image)
    broken = true
    await expect(readRange(disk, 0, 512)).rejects.toThrow('EIO')
    broken = false
    await expect(readRange(disk, 0, 512)).resolves.toHaveLength(512)
  })
})

describe('opening', () => {
  test('the largest empty disk is one hole, and costs one read of its L1 table', async () => {
    const plan = await qcow2.plan(createPatternDisk([['hole', MAXIMUM_DISK_SIZE]]), testIdentity)
    const { image, reads } = createRecordingImage(plan)
    const disk = await qcow2.open(image)
    expect(await listExtents(disk)).toEqual([
      { kind: 'hole', offset: 0, length: MAXIMUM_DISK_SIZE },
    ])
    expect(await listExtents(disk, { offset: TiB + 1, length: 5 })).toEqual([
      { kind: 'hole', offset: TiB + 1, length: 5 },
    ])
    // The prefix, the first cluster, and the L1 table in pieces of 64 KiB.
    expect(reads).toHaveLength(2 + 4)
  })

  test('the disk closes the image; an image that is refused is left to the caller', async () => {
    const { bytes } = buildImage({
      version: 3,
      clusterBits: 9,
      virtualSize: 512,
      clusters: dataClusters(1),
    })
    const good = createRecordingImage(createMemoryImage(bytes))
    const disk = await qcow2.open(good.image)
    await disk.close()
    expect(good.closes()).toBe(1)
    bytes[0] = 0
    const bad = createRecordingImage(createMemoryImage(bytes))
    await expect(qcow2.open(bad.image)).rejects.toThrow('a qcow2 image starts with 0x514649fb')
    expect(bad.closes()).toBe(0)
  })
})
