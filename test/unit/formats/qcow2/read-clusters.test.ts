// What an export of a fragmented disk costs its layer, in reads of the file; and how these end.

import { expect, test } from 'vitest'
import { collectBlockMap } from '../../../../src/disk/block-map.ts'
import { createChainDisk } from '../../../../src/disk/chain-disk.ts'
import type { Disk } from '../../../../src/disk/disk.ts'
import type { ByteRange } from '../../../../src/disk/extents.ts'
import { readRanges } from '../../../../src/disk/read-ranges.ts'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import type { Image } from '../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import type { PatternPart } from '../../../support/disks.ts'
import { createPatternDisk, expectSameBytes, readAll } from '../../../support/disks.ts'
import { buildImage } from '../../../support/qcow2-image.ts'

const cluster = 64 * KiB

/** Every second cluster holds data. */
const fragments = (count: number): PatternPart[] =>
  Array.from({ length: count }).flatMap((): PatternPart[] => [
    ['data', cluster],
    ['hole', cluster],
  ])

/** Keeps the ranges that are read; `before` may throw for one, or wait. */
const recordReads = (image: Image, before?: (range: ByteRange) => Promise<void> | void) => {
  const reads: ByteRange[] = []
  const recording: Image = {
    ...image,
    async read(offset, target, signal) {
      reads.push({ offset, length: target.length })
      await before?.({ offset, length: target.length })
      await image.read(offset, target, signal)
    },
  }
  return { image: recording, reads }
}

/** The image as a format writes it: its clusters lie one after the other. */
const imageOf = async (disk: Disk): Promise<Uint8Array> =>
  readAll(await qcow2.plan(disk, testIdentity))

test('a fragmented export makes one read of the layer for each piece, not for each cluster', async () => {
  const count = 512
  const bytes = await imageOf(createPatternDisk(fragments(count)))
  const { image, reads } = recordReads(createMemoryImage(bytes))
  const layer = await qcow2.open(image)
  const map = await collectBlockMap(layer)
  const chain = createChainDisk([{ disk: layer, map }], layer.size)
  const exported = await qcow2.plan(chain, testIdentity)
  reads.length = 0
  expectSameBytes(await readAll(exported, MiB), bytes)
  const pieces = Math.ceil(exported.size / MiB)
  // Beside the data, the parts of the L2 table: 4 KiB each, 512 entries.
  const tables = reads.filter(({ length }) => length === 4 * KiB)
  expect(tables).toHaveLength(2)
  expect(reads.length - tables.length).toBe(pieces)
  expect(reads.length).toBeLessThan(count / 12)
})

test('a delta over a base takes as many reads as stretches of the two layers', async () => {
  const count = 64
  const upper = createPatternDisk(fragments(count), 1)
  const lower = createPatternDisk([['data', 2 * count * cluster]], 2)
  const opened = await Promise.all(
    [upper, lower].map(async (disk) => {
      const { image, reads } = recordReads(createMemoryImage(await imageOf(disk)))
      const layer = await qcow2.open(image)
      return { disk: layer, map: await collectBlockMap(layer), reads }
    }),
  )
  const chain = createChainDisk(opened, upper.size)
  for (const { reads } of opened) reads.length = 0
  const ranges = Array.from({ length: count }, (_, index) => ({
    offset: 2 * index * cluster,
    length: cluster,
  }))
  const target = new Uint8Array(count * cluster)
  await readRanges(chain, ranges, target)
  const isData = ({ length }: ByteRange): boolean => length !== 4 * KiB
  expect(opened.map(({ reads }) => reads.filter(isData).length)).toEqual([1, 0])
  const expected = await readAll(upper)
  for (const [index, { offset, length }] of ranges.entries()) {
    const part = target.subarray(index * cluster, (index + 1) * cluster)
    expectSameBytes(part, expected.subarray(offset, offset + length))
  }
})

/** Clusters of 512 bytes that never follow each other in the image. */
const scattered = buildImage({
  version: 3,
  clusterBits: 9,
  virtualSize: 512 * 64,
  clusters: new Map(Array.from({ length: 64 }, (_, index) => [63 - index, 'data' as const])),
})

test('clusters apart are at most four reads at once, each filled in its place', async () => {
  let running = 0
  let most = 0
  const { image, reads } = recordReads(createMemoryImage(scattered.bytes), async () => {
    running += 1
    most = Math.max(most, running)
    await new Promise((resolve) => setImmediate(resolve))
    running -= 1
  })
  const disk = await qcow2.open(image)
  const plain = await qcow2.open(createMemoryImage(scattered.bytes))
  expectSameBytes(await readAll(disk), await readAll(plain))
  expect(reads.length).toBeGreaterThan(64)
  expect(most).toBe(4)
})

test('after a read that fails no other begins, and none is under way', async () => {
  let running = 0
  let isBroken = false
  const { image, reads } = recordReads(createMemoryImage(scattered.bytes), async () => {
    if (!isBroken) return
    const isFirst = running === 0
    running += 1
    await new Promise((resolve) => setImmediate(resolve))
    running -= 1
    if (isFirst) throw new Error('the storage is gone')
  })
  const disk = await qcow2.open(image)
  await readAll(disk)
  isBroken = true
  reads.length = 0
  await expect(readAll(disk)).rejects.toThrow('the storage is gone')
  expect(running).toBe(0)
  expect(reads).toHaveLength(4)
})
