// Layers at rest: what goes to the file and what does not, and what is refused.

import { describe, expect, test } from 'vitest'
import type { Disk } from '../../../../src/disk/disk.ts'
import type { ByteRange } from '../../../../src/disk/extents.ts'
import type { LayerOptions, LayerParent } from '../../../../src/formats/format.ts'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import type { WritableImage } from '../../../../src/image/image.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, KiB, MAXIMUM_DISK_SIZE, MiB, TiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import {
  createPatternDisk,
  createRecordingDisk,
  fillPattern,
  listExtents,
  readAll,
  readRange,
} from '../../../support/disks.ts'
import { checkImage } from '../../../support/qcow2-check.ts'

const cluster = 64 * KiB
const { uuid, timestamp } = testIdentity

const optionsFor = (size: number, parent?: Disk): LayerOptions => ({
  size,
  uuid,
  timestamp,
  ...(parent === undefined ? {} : { parent: parentOf(parent) }),
})
const parentOf = (disk: Disk): LayerParent => ({
  uuid,
  timestamp,
  format: 'qcow2',
  fileName: 'parent.qcow2',
  disk,
})

/** A file that keeps the ranges of writes, and the bytes it was given. */
const createRecordingFile = (fail?: (range: ByteRange) => void) => {
  const file = createMemoryImage()
  const writes: (ByteRange & { source: Uint8Array })[] = []
  const recording: WritableImage = {
    get size() {
      return file.size
    },
    read: (offset, target) => file.read(offset, target),
    async write(offset, source) {
      const range = { offset, length: source.length }
      fail?.(range)
      writes.push({ ...range, source })
      await file.write(offset, source)
    },
    truncate: (size) => file.truncate(size),
    sync: () => file.sync(),
    close: () => file.close(),
  }
  return { file: recording, writes }
}

const pattern = (offset: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  fillPattern(offset, bytes)
  return bytes
}

describe('writing', () => {
  test('clusters that follow each other are one write of the very bytes', async () => {
    const { file, writes } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(GiB))
    const bytes = pattern(0, MiB)
    await layer.write(0, bytes)
    await layer.write(MiB, bytes)
    expect(writes.map(({ length }) => length)).toEqual([MiB, MiB])
    expect(writes[1]!.offset).toBe(writes[0]!.offset + MiB)
    expect(writes[0]!.source.buffer).toBe(bytes.buffer)
  })

  test('what is written again goes to the same place', async () => {
    const { file, writes } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(GiB))
    await layer.write(0, pattern(0, MiB))
    await layer.write(cluster, pattern(5, 2 * cluster))
    expect(writes[1]!.offset).toBe(writes[0]!.offset + cluster)
    await layer.seal()
    checkImage(await readAll(file))
  })

  test('zeros cost nothing where nothing is', async () => {
    const { file, writes } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(MAXIMUM_DISK_SIZE))
    await layer.zero(0, MAXIMUM_DISK_SIZE)
    await layer.zero(512, 1024)
    expect(writes).toEqual([])
    await layer.seal()
    // Header, refcount table, four clusters of L1, one refcount block.
    expect(file.size).toBe(7 * cluster)
  })

  test('zeros over an empty parent cost nothing, over its data they are flags', async () => {
    const { file } = createRecordingFile()
    const parent = createPatternDisk([
      ['hole', 7 * TiB],
      ['data', 3 * cluster],
      ['zero', 8 * TiB],
    ])
    const layer = await qcow2.createLayer(file, optionsFor(parent.size, parent))
    await layer.zero(0, parent.size)
    await layer.seal()
    expect(file.size).toBe(8 * cluster)
    const opened = await qcow2.open(file)
    expect((await listExtents(opened)).filter(({ kind }) => kind !== 'hole')).toEqual([
      { kind: 'zero', offset: 7 * TiB, length: 3 * cluster },
    ])
  })

  test('a cluster that is zeroed keeps its place for what comes later', async () => {
    const { file, writes } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(GiB))
    await layer.write(0, pattern(0, cluster))
    await layer.zero(0, cluster)
    await layer.write(1024, pattern(1024, 512))
    expect(writes.map(({ offset }) => offset)).toEqual([writes[0]!.offset, writes[0]!.offset])
    await layer.seal()
    const opened = await qcow2.open(file)
    const expected = new Uint8Array(cluster)
    expected.set(pattern(1024, 512), 1024)
    expect(Buffer.compare(await readRange(opened, 0, cluster), expected)).toBe(0)
  })

  test('the parent is read for clusters written in part, once each, and for no other', async () => {
    const recording = createRecordingDisk(createPatternDisk([['data', 10 * cluster]]))
    const { file } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(10 * cluster, recording.disk))
    await layer.write(cluster, pattern(0, 3 * cluster))
    expect(recording.reads).toEqual([])
    await Promise.all([
      layer.write(5 * cluster + 512, pattern(0, 512)),
      layer.write(5 * cluster + 1024, pattern(0, 512)),
      layer.zero(5 * cluster + 2048, 512),
    ])
    expect(recording.reads).toEqual([{ offset: 5 * cluster, length: cluster }])
  })

  test('a last cluster that ends with the disk is whole', async () => {
    const size = 2 * cluster + 512
    const recording = createRecordingDisk(createPatternDisk([['data', size]]))
    const { file, writes } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(size, recording.disk))
    await layer.write(2 * cluster, pattern(0, 512))
    await layer.zero(cluster, cluster + 512)
    expect(recording.reads).toEqual([])
    expect(writes).toHaveLength(1)
    await layer.seal()
    expect(file.size % cluster).toBe(0)
    expect((await listExtents(await qcow2.open(file))).map(({ kind }) => kind)).toEqual([
      'hole',
      'zero',
    ])
  })

  test('a part of a parent cluster that is zero already is left to the parent', async () => {
    const parent = createPatternDisk([
      ['hole', 2 * cluster],
      ['data', 512],
      ['hole', cluster - 512],
    ])
    const { file, writes } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(3 * cluster, parent))
    await layer.zero(512, 2 * cluster)
    expect(writes).toEqual([])
    await layer.zero(2 * cluster, 512)
    await layer.seal()
    expect(await listExtents(await qcow2.open(file))).toEqual([
      { kind: 'hole', offset: 0, length: 2 * cluster },
      { kind: 'zero', offset: 2 * cluster, length: cluster },
    ])
  })

  test('600 L2 tables of a large disk, in no order, are exact', async () => {
    const { file } = createRecordingFile()
    const layer = await qcow2.createLayer(file, optionsFor(TiB))
    const spread = Array.from({ length: 1200 }, (_, index) => (index * 7919) % 1200)
    await Promise.all(
      spread.map((index) => layer.write(index * 512 * MiB * 1.5 + cluster, pattern(index, 512))),
    )
    await layer.seal()
    checkImage(await readAll(file))
    const opened = await qcow2.open(file)
    for (const index of [0, 1, 599, 1199]) {
      const found = await readRange(opened, index * 512 * MiB * 1.5 + cluster, 512)
      expect([...found]).toEqual([...pattern(index, 512)])
    }
  })
})

describe('what is refused', () => {
  test('sizes', async () => {
    const create = (size: number) => qcow2.createLayer(createMemoryImage(), optionsFor(size))
    await expect(create(MAXIMUM_DISK_SIZE + 512)).rejects.toMatchObject({
      code: 'VDI_TOO_LARGE',
      params: [`OpaqueRef:${uuid}`, String(MAXIMUM_DISK_SIZE)],
    })
    await expect(create(0)).rejects.toThrow('Cannot create a qcow2 layer: the virtual size is 0')
    await expect(create(513)).rejects.toThrow('513 bytes is not a multiple of 512')
  })

  test('ranges that are not whole sectors, or leave the disk', async () => {
    const layer = await qcow2.createLayer(createMemoryImage(), optionsFor(MiB))
    await expect(layer.write(1, new Uint8Array(512))).rejects.toThrow(RangeError)
    await expect(layer.write(0, new Uint8Array(511))).rejects.toThrow(RangeError)
    await expect(layer.zero(0, MiB + 512)).rejects.toThrow(RangeError)
    await expect(layer.write(MiB, new Uint8Array(512))).rejects.toThrow(RangeError)
  })

  test('writes after seal', async () => {
    const layer = await qcow2.createLayer(createMemoryImage(), optionsFor(MiB))
    await layer.seal()
    await expect(layer.write(0, new Uint8Array(512))).rejects.toThrow('The layer is sealed')
  })

  test('seal after a write that failed', async () => {
    const { file } = createRecordingFile(({ length }) => {
      if (length === 2 * cluster) throw new Error('ENOSPC')
    })
    const layer = await qcow2.createLayer(file, optionsFor(MiB))
    await layer.write(0, pattern(0, cluster))
    await expect(layer.write(cluster, pattern(0, 2 * cluster))).rejects.toThrow('ENOSPC')
    await expect(layer.seal()).rejects.toThrow('ENOSPC')
  })

  test('a write whose parent cannot be read', async () => {
    const broken = createPatternDisk([['data', MiB]])
    const parent: Disk = { ...broken, read: async () => Promise.reject(new Error('EIO')) }
    const layer = await qcow2.createLayer(createMemoryImage(), optionsFor(MiB, parent))
    await expect(layer.write(512, new Uint8Array(512))).rejects.toThrow('EIO')
    // The next one for the same cluster fails by itself, not with the first.
    await expect(layer.write(1024, new Uint8Array(512))).rejects.toThrow('EIO')
  })

  test('a parent whose name is too long', async () => {
    const parent = { ...parentOf(createPatternDisk([['hole', MiB]])), fileName: 'x'.repeat(1024) }
    const options = { ...optionsFor(MiB), parent }
    const layer = await qcow2.createLayer(createMemoryImage(), options)
    await expect(layer.seal()).rejects.toThrow('name has 1024 bytes, the limit is 1023')
  })
})
