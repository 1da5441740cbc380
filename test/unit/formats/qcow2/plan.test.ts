// The layout of exported images: order, exact size, cost, and what is refused.

import { describe, expect, test } from 'vitest'
import type { PlanOptions } from '../../../../src/formats/format.ts'
import { isZero } from '../../../../src/disk/zero.ts'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import { createMemoryImage } from '../../../../src/image/memory-image.ts'
import { GiB, KiB, MAXIMUM_DISK_SIZE, MiB, TiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import type { PatternPart } from '../../../support/disks.ts'
import {
  createPatternDisk,
  expectSameBytes,
  fillPattern,
  listExtents,
  readAll,
  readRange,
} from '../../../support/disks.ts'

const base = { uuid: '11112222-3333-4444-5555-666677778888', timestamp: testIdentity.timestamp }
const deltaIdentity = { ...testIdentity, base }
const cluster = 64 * KiB

const planBytes = async (
  parts: readonly PatternPart[],
  options?: PlanOptions,
  identity = testIdentity,
): Promise<Uint8Array> => readAll(await qcow2.plan(createPatternDisk(parts), identity, options))

const fieldsOf = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const u64 = (at: number): number => Number(view.getBigUint64(at))
  return {
    view,
    version: view.getUint32(4),
    clusterBits: view.getUint32(20),
    size: u64(24),
    l1Size: view.getUint32(36),
    l1Offset: u64(40),
    refcountTableOffset: u64(48),
    refcountTableClusters: view.getUint32(56),
    headerLength: view.getUint32(100),
    backingName: Buffer.from(bytes.subarray(u64(8), u64(8) + view.getUint32(16))).toString(),
  }
}

describe('layout', () => {
  test('header, refcount table, refcount block, L1, L2 tables, data ascending', async () => {
    const bytes = await planBytes([
      ['data', cluster],
      ['hole', 1600 * MiB],
      ['data', cluster],
    ])
    const { view, ...fields } = fieldsOf(bytes)
    expect(fields).toEqual({
      version: 3,
      clusterBits: 16,
      size: 1600 * MiB + 2 * cluster,
      l1Size: 4,
      l1Offset: 3 * cluster,
      refcountTableOffset: cluster,
      refcountTableClusters: 1,
      headerLength: 112,
      backingName: '',
    })
    expect(bytes.length).toBe(8 * cluster)
    const copied = 1n << 63n
    expect(view.getBigUint64(cluster)).toBe(BigInt(2 * cluster))
    expect(view.getBigUint64(3 * cluster)).toBe(copied | BigInt(4 * cluster))
    expect(view.getBigUint64(3 * cluster + 8)).toBe(0n)
    expect(view.getBigUint64(3 * cluster + 24)).toBe(copied | BigInt(5 * cluster))
    expect(view.getBigUint64(4 * cluster)).toBe(copied | BigInt(6 * cluster))
    const secondEntry = (1600 * MiB + cluster - 3 * 512 * MiB) / cluster
    expect(view.getBigUint64(5 * cluster + secondEntry * 8)).toBe(copied | BigInt(7 * cluster))
  })

  test('16 TiB of one extent: planned without holding its clusters, readable anywhere', async () => {
    const before = process.memoryUsage().arrayBuffers
    const size = MAXIMUM_DISK_SIZE
    const image = await qcow2.plan(createPatternDisk([['data', size]]), testIdentity)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MiB)
    const clusters = Math.ceil(size / cluster)
    const tables = Math.ceil(clusters / 8192)
    const l1 = Math.ceil(tables / 8192)
    const blocks = Math.ceil((clusters + tables + l1 + 2 + 8192) / 32_768)
    expect(image.size).toBe((2 + blocks + l1 + tables + clusters) * cluster)
    expect(image.size).toBeLessThan(16 * TiB)
    const last = await readRange(image, image.size - 8, 8)
    expect(Number(new DataView(last.buffer).getBigUint64(0, true))).toBe(size - 8 + 1)
    const disk = await qcow2.open(image)
    expect(await listExtents(disk, { offset: 15 * TiB, length: GiB })).toEqual([
      { kind: 'data', offset: 15 * TiB, length: GiB },
    ])
    const middle = await readRange(disk, 12 * TiB + 8, 8)
    expect(Number(new DataView(middle.buffer).getBigUint64(0, true))).toBe(12 * TiB + 8 + 1)
  })

  test('what lies after the end of the disk in its last cluster is zeros', async () => {
    const bytes = await planBytes([['data', 512]])
    expect(isZero(bytes.subarray(bytes.length - cluster + 512))).toBe(true)
    expect(isZero(bytes.subarray(bytes.length - cluster, bytes.length - cluster + 512))).toBe(false)
  })

  test('offsets beyond 4 GiB of the image are right, within one L2 table', async () => {
    const image = await qcow2.plan(createPatternDisk([['data', 5 * GiB]]), testIdentity)
    const metadata = image.size - 5 * GiB
    const disk = await qcow2.open(image)
    const offset = 4 * GiB - metadata - MiB
    const found = await readRange(disk, offset, 2 * MiB)
    const expected = new Uint8Array(2 * MiB)
    fillPattern(offset, expected)
    expectSameBytes(found, expected)
  })

  test('a read of a few bytes may lie across clusters', async () => {
    const bytes = await planBytes([['data', 3 * cluster]])
    const image = await qcow2.plan(createPatternDisk([['data', 3 * cluster]]), testIdentity)
    for (const offset of [3 * cluster - 1, 4 * cluster + 3, 5 * cluster - 7]) {
      for (const length of [1, 2, 9, 15]) {
        const part = await readRange(image, offset, length)
        expect([...part]).toEqual([...bytes.subarray(offset, offset + length)])
      }
    }
  })
})

describe('deltas', () => {
  const parts: readonly PatternPart[] = [
    ['hole', 2 * MiB],
    ['data', 512],
    ['zero', 3 * cluster - 512],
    ['hole', 4 * MiB - 3 * cluster],
    ['zero', 100 * KiB],
    ['hole', 5 * MiB],
    ['zero', 512],
  ]

  test('compatible: whole 2 MiB groups of data, clipped where the disk ends, no backing name', async () => {
    const bytes = await planBytes(parts, {}, deltaIdentity)
    expect(fieldsOf(bytes).backingName).toBe('')
    const end = 11 * MiB + 100 * KiB + 512
    expect(await listExtents(await qcow2.open(createMemoryImage(bytes)))).toEqual([
      { kind: 'hole', offset: 0, length: 2 * MiB },
      { kind: 'data', offset: 2 * MiB, length: 2 * MiB },
      { kind: 'hole', offset: 4 * MiB, length: 2 * MiB },
      { kind: 'data', offset: 6 * MiB, length: 2 * MiB },
      { kind: 'hole', offset: 8 * MiB, length: 2 * MiB },
      { kind: 'data', offset: 10 * MiB, length: end - 10 * MiB },
    ])
  })

  test('compact: single clusters, the zero flag where all of one is zero, the name of the base', async () => {
    const bytes = await planBytes(parts, { delta: 'compact' }, deltaIdentity)
    expect(fieldsOf(bytes).backingName).toBe(base.uuid)
    expect(Buffer.from(bytes).subarray(112, 128).toString('latin1')).toBe(
      '\u00e2\u0079\u002a\u00ca\u0000\u0000\u0000\u0005qcow2\u0000\u0000\u0000',
    )
    const end = 11 * MiB + 100 * KiB + 512
    expect(await listExtents(await qcow2.open(createMemoryImage(bytes)))).toEqual([
      { kind: 'hole', offset: 0, length: 2 * MiB },
      { kind: 'data', offset: 2 * MiB, length: cluster },
      { kind: 'zero', offset: 2 * MiB + cluster, length: 2 * cluster },
      { kind: 'hole', offset: 2 * MiB + 3 * cluster, length: 4 * MiB - 3 * cluster },
      { kind: 'zero', offset: 6 * MiB, length: cluster },
      { kind: 'data', offset: 6 * MiB + cluster, length: cluster },
      {
        kind: 'hole',
        offset: 6 * MiB + 2 * cluster,
        length: 11 * MiB + cluster - 6 * MiB - 2 * cluster,
      },
      { kind: 'data', offset: 11 * MiB + cluster, length: end - 11 * MiB - cluster },
    ])
  })

  test('compact: zeros up to the end of the disk are all of its last cluster', async () => {
    const ends: PatternPart[] = [
      ['hole', cluster],
      ['zero', 512],
    ]
    const bytes = await planBytes(ends, { delta: 'compact' }, deltaIdentity)
    expect(await listExtents(await qcow2.open(createMemoryImage(bytes)))).toEqual([
      { kind: 'hole', offset: 0, length: cluster },
      { kind: 'zero', offset: cluster, length: 512 },
    ])
  })

  test('nothing changed: an empty image', async () => {
    for (const delta of ['compatible', 'compact'] as const) {
      const bytes = await planBytes([['hole', 3 * GiB]], { delta }, deltaIdentity)
      expect(bytes.length).toBe(4 * cluster)
    }
  })
})

describe('what is refused', () => {
  test('a disk above the limit, with its uuid and the limit', async () => {
    const disk = createPatternDisk([['hole', MAXIMUM_DISK_SIZE + 512]])
    await expect(qcow2.plan(disk, testIdentity)).rejects.toMatchObject({
      code: 'VDI_TOO_LARGE',
      params: [`OpaqueRef:${testIdentity.uuid}`, String(MAXIMUM_DISK_SIZE)],
    })
  })
})
