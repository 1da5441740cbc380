// How a stream is decoded: which writes come out, what is parked and where.

import { describe, expect, test } from 'vitest'
import type { DiskWrite } from '../../../../src/disk/disk.ts'
import { qcow2 } from '../../../../src/formats/qcow2/qcow2.ts'
import { createForwardReader } from '../../../../src/image/forward-reader.ts'
import { KiB, MiB } from '../../../../src/units.ts'
import { testIdentity } from '../../../laws/format-laws.ts'
import { createPatternDisk, cutInChunks, expectSameBytes, readAll } from '../../../support/disks.ts'
import {
  createCountingPool,
  createCountingSpool,
  decodeWatched,
} from '../../../support/qcow2-decode.ts'
import type { ClusterContent, ImageSpec } from '../../../support/qcow2-image.ts'
import { buildImage } from '../../../support/qcow2-image.ts'

const dataClusters = (count: number, step = 1): Map<number, ClusterContent> =>
  new Map(Array.from({ length: count }, (_, index) => [index * step, 'data']))

const small = (count: number, step = 1): ImageSpec => ({
  version: 3,
  clusterBits: 9,
  virtualSize: 512 * count * step,
  clusters: dataClusters(count, step),
})

const rangesOf = (writes: readonly DiskWrite[]) =>
  writes.map((write) => ({
    kind: write.kind,
    offset: write.offset,
    length: write.kind === 'zero' ? write.length : write.bytes.length,
  }))

/** qemu-img puts each L2 table before its data: L2, 64 clusters, L2, 64 clusters. */
const interleave = (names: string[]): string[] => {
  const key = (name: string): number => {
    const [kind, number] = name.split(':')
    if (kind === 'l2') return Number(number) * 64
    return kind === 'data' ? Number(number) + 0.5 : -1
  }
  return names.toSorted((a, b) => key(a) - key(b))
}

describe('writes', () => {
  test('small clusters that follow each other fill whole buffers, across L2 tables', async () => {
    const { bytes, content } = buildImage({ ...small(1000), arrange: interleave })
    const { writes, disk, spooled } = await decodeWatched(bytes, bytes.length)
    expect(rangesOf(writes)).toEqual([
      ...Array.from({ length: 7 }, (_, index) => ({
        kind: 'data',
        offset: index * 64 * KiB,
        length: 64 * KiB,
      })),
      { kind: 'data', offset: 7 * 64 * KiB, length: 512 * 1000 - 7 * 64 * KiB },
    ])
    expectSameBytes(await readAll(disk), content)
    expect(spooled).toBe(0)
  })

  test('scattered small clusters share a buffer, which goes back with the last of them', async () => {
    const { bytes } = buildImage(small(100, 3))
    const { pool, lent } = createCountingPool(2, 64 * KiB)
    const stream = createForwardReader(cutInChunks(bytes, [700]))
    const decoded = await qcow2.decode(stream, {
      buffers: pool,
      openSpool: createCountingSpool().open,
    })
    const releases: (() => void)[] = []
    for await (const write of decoded.writes()) {
      if (write.kind === 'data' && write.release !== undefined) releases.push(write.release)
    }
    expect(releases).toHaveLength(100)
    expect(lent()).toBe(1)
    for (const release of releases.slice(1)) release()
    releases[1]!()
    expect(lent()).toBe(1)
    releases[0]!()
    expect(lent()).toBe(0)
  })

  test('zero clusters are one write a run, clipped where the disk ends, and their old data is not read', async () => {
    const clusters = new Map<number, ClusterContent>()
    for (let cluster = 2; cluster < 10; cluster += 1) clusters.set(cluster, 'zeroAllocated')
    const { bytes } = buildImage({
      version: 3,
      clusterBits: 12,
      virtualSize: 9 * 4096 + 512,
      clusters,
    })
    const { writes, read } = await decodeWatched(bytes, bytes.length)
    expect(rangesOf(writes)).toEqual([
      { kind: 'zero', offset: 8192, length: 9 * 4096 + 512 - 8192 },
    ])
    expect(read).toBe(bytes.length - 8 * 4096)
  })

  test('what follows the last cluster that is needed is not read', async () => {
    const { bytes } = buildImage({ ...small(3), leaks: 50 })
    const { read } = await decodeWatched(bytes, bytes.length)
    expect(read).toBe(bytes.length - 50 * 512)
  })

  test('a backing name makes a delta, and nothing else does', async () => {
    const decode = (spec: ImageSpec) =>
      qcow2.decode(createForwardReader(cutInChunks(buildImage(spec).bytes, [900])), {
        buffers: createCountingPool(1, 4096).pool,
        openSpool: createCountingSpool().open,
      })
    const delta = await decode({ ...small(3), backingName: '/etc/passwd' })
    expect(delta).toMatchObject({ isDelta: true, virtualSize: 1536 })
    expect(await decode(small(3))).toMatchObject({ isDelta: false })
  })

  test('one buffer is enough', async () => {
    const { bytes, content } = buildImage({ ...small(300), arrange: (names) => names.toReversed() })
    const { pool } = createCountingPool(1, 1024)
    const decoded = await qcow2.decode(createForwardReader(cutInChunks(bytes, [900])), {
      buffers: pool,
      openSpool: createCountingSpool().open,
    })
    const found = new Uint8Array(content.length)
    for await (const write of decoded.writes()) {
      if (write.kind === 'zero') continue
      found.set(write.bytes, write.offset)
      write.release?.()
    }
    expectSameBytes(found, content)
  })
})

describe('parking', () => {
  const tableLast = (names: string[]): string[] => [...names.filter((name) => name !== 'l1'), 'l1']

  test('L1 last: 8 MiB stay in memory, the rest goes to the spool', async () => {
    const image = await readAll(
      await qcow2.plan(createPatternDisk([['data', 12 * MiB]]), testIdentity),
    )
    // The L1 table of an exported image, moved to its end.
    const view = new DataView(image.buffer)
    const l1Offset = Number(view.getBigUint64(40))
    const moved = Buffer.concat([image, image.subarray(l1Offset, l1Offset + 8)])
    new DataView(moved.buffer, moved.byteOffset).setBigUint64(40, BigInt(image.length))
    const { disk, spooled } = await decodeWatched(moved, moved.length, undefined, MiB)
    expectSameBytes(await readAll(disk), await readAll(createPatternDisk([['data', 12 * MiB]])))
    // 12 MiB of data, L2, and what was L1; the last 128 KiB of it were not worth a write.
    expect(spooled).toBe(12 * MiB - 8 * MiB)
  })

  test('an image that fits in memory opens no spool', async () => {
    const { bytes, content } = buildImage({ ...small(500), arrange: tableLast })
    const { disk, spooled } = await decodeWatched(bytes, bytes.length)
    expect(spooled).toBe(0)
    expectSameBytes(await readAll(disk), content)
  })

  test('refcounts, and what lies under zero clusters, are never parked', async () => {
    const clusters = new Map<number, ClusterContent>([[64, 'data']])
    for (let cluster = 0; cluster < 64; cluster += 1) clusters.set(cluster, 'zeroAllocated')
    // The second L2 table comes last but one: until then anything might be named.
    const arrange = (names: string[]): string[] => {
      const late = new Set(['l2:1', 'data:64'])
      return [...names.filter((name) => !late.has(name)), 'l2:1', 'data:64']
    }
    const { bytes } = buildImage({ ...small(65), clusters, arrange })
    const limits = {
      awaitedRuns: 10,
      ignoredRuns: 10,
      parkedRuns: 10,
      parkedBytes: 0,
      gatheredBytes: 0,
    }
    expect((await decodeWatched(bytes, bytes.length, limits)).spooled).toBe(0)
    // Without room to remember them they are parked, and nothing else changes.
    const noRoom = { ...limits, ignoredRuns: 0 }
    expect((await decodeWatched(bytes, bytes.length, noRoom)).spooled).toBe(65 * 512)
  })

  test('from the last L2 table on, nothing is parked', async () => {
    const { bytes } = buildImage({
      ...small(10),
      leaks: 40,
      arrange: (names) => names.toReversed(),
    })
    const limits = {
      awaitedRuns: 10,
      ignoredRuns: 10,
      parkedRuns: 10,
      parkedBytes: 0,
      gatheredBytes: 0,
    }
    // Reversed: leaks, data and the L2 table come before L1.
    expect((await decodeWatched(bytes, bytes.length, limits)).spooled).toBe(51 * 512)
    const early = buildImage({
      ...small(10),
      leaks: 40,
      arrange: (names) => [
        ...names.filter((name) => !/leak|data/.test(name)),
        ...names.filter((name) => /leak|data/.test(name)).toReversed(),
      ],
    })
    expect((await decodeWatched(early.bytes, early.bytes.length, limits)).spooled).toBe(0)
  })

  test('when the last L2 table has come, what was parked is let go before the rest is read', async () => {
    const half = (name: string): boolean => name.startsWith('data') && Number(name.slice(5)) < 200
    const { bytes, content } = buildImage({
      ...small(400),
      arrange: (names) => [...names.filter(half), ...names.filter((name) => !half(name))],
    })
    const limits = {
      awaitedRuns: 1000,
      ignoredRuns: 10,
      parkedRuns: 10,
      parkedBytes: 0,
      gatheredBytes: 0,
    }
    const watched = await decodeWatched(bytes, bytes.length, limits)
    expectSameBytes(await readAll(watched.disk), content)
    expect(watched.spooled).toBe(200 * 512)
    expect(watched.isSpoolGoneAtLastWrite).toBe(true)
  })

  test('L2 tables that name more runs than may be awaited are put off, with their data', async () => {
    const shuffled = (names: string[]): string[] => [
      ...names.filter((name) => !name.startsWith('data')),
      ...names
        .filter((name) => name.startsWith('data'))
        .toSorted((a, b) => ((Number(a.slice(5)) * 37) % 509) - ((Number(b.slice(5)) * 37) % 509)),
    ]
    const { bytes, content } = buildImage({ ...small(500), arrange: shuffled })
    const limits = {
      awaitedRuns: 100,
      ignoredRuns: 10,
      parkedRuns: 1000,
      parkedBytes: 0,
      gatheredBytes: 0,
    }
    const { disk, spooled } = await decodeWatched(bytes, bytes.length, limits)
    expectSameBytes(await readAll(disk), content)
    // Eight tables; there is room for the runs of one.
    expect(spooled).toBe((7 + 500 - 64) * 512)
    expect((await decodeWatched(bytes, bytes.length)).spooled).toBe(0)
  })
})
