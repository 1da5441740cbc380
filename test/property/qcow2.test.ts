// The laws for QCOW2, on disks of fast-check and on images whose parts lie anywhere.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Disk, DiskWrite } from '../../src/disk/disk.ts'
import type { DecodeLimits } from '../../src/formats/qcow2/stream/decode-limits.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, SECTOR_SIZE } from '../../src/units.ts'
import { diskLaws } from '../laws/disk-laws.ts'
import {
  decodeBytes,
  formatLaws,
  layerLaws,
  lawDisks,
  rebuild,
  testIdentity,
} from '../laws/format-laws.ts'
import type { PatternPart } from '../support/disks.ts'
import { createPatternDisk, expectSameBytes, listExtents, readAll } from '../support/disks.ts'
import { decodeWatched } from '../support/qcow2-decode.ts'
import type { BuiltImage, ClusterContent, ImageSpec } from '../support/qcow2-image.ts'
import { buildImage } from '../support/qcow2-image.ts'

describe('qcow2', () => {
  formatLaws(qcow2)
  layerLaws(qcow2)
  diskLaws('an opened qcow2 image', async () => {
    const image = await qcow2.plan(createPatternDisk(lawDisks['scattered']!), testIdentity)
    return qcow2.open(createMemoryImage(await readAll(image)))
  })
  diskLaws('an opened qcow2 image of small clusters, in no order', async () => {
    const kinds: ClusterContent[] = ['data', 'zero', 'data', 'zeroAllocated']
    const clusters = Array.from({ length: 300 }, (_, index) => index * 3 + (index % 5))
    const { bytes } = buildImage({
      version: 3,
      clusterBits: 9,
      virtualSize: 1000 * SECTOR_SIZE,
      clusters: new Map(clusters.map((cluster, index) => [cluster, kinds[index % 4]!])),
      arrange: (names) => names.toReversed(),
    })
    return qcow2.open(createMemoryImage(bytes))
  })
})

const diskParts: fc.Arbitrary<PatternPart[]> = fc.array(
  fc.tuple(
    fc.constantFrom('data' as const, 'zero' as const, 'hole' as const),
    fc.oneof(
      fc.integer({ min: 1, max: 300 }).map((sectors) => sectors * SECTOR_SIZE),
      fc.integer({ min: 1, max: 16 }).map((clusters) => clusters * 64 * KiB),
    ),
  ),
  { minLength: 1, maxLength: 12 },
)

/**
 * Images of either version, any placement of their parts, and a last cluster that may be short on
 * the disk.
 */
const imageSpecs: fc.Arbitrary<ImageSpec> = fc
  .record({
    version: fc.constantFrom(2 as const, 3 as const),
    clusterBits: fc.constantFrom(9, 9, 10, 12, 16),
    clusterCount: fc.integer({ min: 1, max: 200 }),
    trim: fc.integer({ min: 0, max: 127 }),
    kinds: fc.array(fc.constantFrom('data', 'data', 'data', 'zero', 'zeroAllocated', undefined), {
      minLength: 200,
      maxLength: 200,
    }),
    leaks: fc.integer({ min: 0, max: 5 }),
    shuffle: fc.array(fc.nat(), { minLength: 20, maxLength: 20 }),
    disorder: fc.constantFrom(0, 0.05, 1),
  })
  .map(({ version, clusterBits, clusterCount, trim, kinds, leaks, shuffle, disorder }) => {
    const clusterSize = 2 ** clusterBits
    const count = clusterBits === 16 ? Math.ceil(clusterCount / 8) : clusterCount
    const clusters = new Map<number, ClusterContent>()
    for (let cluster = 0; cluster < count; cluster += 1) {
      const kind = kinds[cluster]
      if (kind !== undefined) clusters.set(cluster, version === 2 ? 'data' : kind)
    }
    return {
      version,
      clusterBits,
      virtualSize: count * clusterSize - (trim % (clusterSize / SECTOR_SIZE)) * SECTOR_SIZE,
      clusters,
      leaks,
      arrange: (names) => disarrange(names, shuffle, disorder),
    }
  })

/** Moves some of the names to places that `shuffle` gives; all of them where `disorder` is 1. */
const disarrange = (names: string[], shuffle: number[], disorder: number): string[] =>
  names
    .map((name, index) => {
      const random = (shuffle[index % shuffle.length]! * 31 + index * 17) % 1009
      return { name, key: random / 1009 < disorder ? random / 1009 : index / names.length }
    })
    .toSorted((a, b) => a.key - b.key)
    .map(({ name }) => name)

const smallLimits: DecodeLimits[] = [
  { awaitedRuns: 0, ignoredRuns: 0, parkedRuns: 0, parkedBytes: 0, gatheredBytes: 0 },
  { awaitedRuns: 3, ignoredRuns: 1, parkedRuns: 2, parkedBytes: 4096, gatheredBytes: 3000 },
  { awaitedRuns: 3, ignoredRuns: 100, parkedRuns: 1000, parkedBytes: 1 << 20, gatheredBytes: 1000 },
  { awaitedRuns: 1000, ignoredRuns: 2, parkedRuns: 3, parkedBytes: 20 * KiB, gatheredBytes: 4096 },
]

describe('qcow2 properties', () => {
  test('open, decode and layers give back any disk', () =>
    fc.assert(
      fc.asyncProperty(diskParts, async (parts) => {
        const disk = createPatternDisk(parts)
        const expected = await readAll(disk)
        const bytes = await readAll(await qcow2.plan(disk, testIdentity))
        const opened = await qcow2.open(createMemoryImage(bytes))
        expectSameBytes(await readAll(opened), expected, 'opened')
        const decoded = await decodeBytes(qcow2, bytes, [4097, 70_000])
        expectSameBytes(await readAll(await rebuild(decoded)), expected, 'decoded')
      }),
      { numRuns: 60 },
    ))

  test('open reads an image whose parts lie anywhere', () =>
    fc.assert(
      fc.asyncProperty(imageSpecs, fc.nat(), async (spec, cut) => {
        const { bytes, content } = shorten(buildImage(spec), spec, cut)
        const disk = await qcow2.open(createMemoryImage(bytes))
        expectSameBytes(await readAll(disk), content)
        expectSameBytes(await readAll(disk, 1000), content, 'in reads of 1000')
        await expectExtentsOf(disk, spec)
      }),
      { numRuns: 150 },
    ))

  test('decode reads an image whose parts lie anywhere, whether its length is known or not', () =>
    fc.assert(
      fc.asyncProperty(imageSpecs, fc.boolean(), async (spec, isLengthKnown) => {
        const { bytes, content } = buildImage(spec)
        const { writes, disk } = await decodeWatched(
          bytes,
          isLengthKnown ? bytes.length : undefined,
        )
        expectSameBytes(await readAll(disk), content)
        expectWritesOf(writes, spec)
      }),
      { numRuns: 200 },
    ))

  test('decode reads the same when it may hold next to nothing in memory', () =>
    fc.assert(
      fc.asyncProperty(
        imageSpecs,
        fc.constantFrom(...smallLimits),
        fc.nat(),
        async (spec, limits, cut) => {
          const { bytes, content } = shorten(buildImage(spec), spec, cut)
          const { writes, disk } = await decodeWatched(bytes, bytes.length, limits)
          expectSameBytes(await readAll(disk), content)
          expectWritesOf(writes, spec)
        },
      ),
      { numRuns: 200 },
    ))

  test('decode refuses or notices every cut of an image whose parts lie anywhere', () =>
    fc.assert(
      fc.asyncProperty(imageSpecs, fc.double({ min: 0, max: 1, noNaN: true }), async (spec, at) => {
        const { bytes, content } = buildImage(spec)
        const cut = bytes.subarray(0, Math.floor(at * bytes.length))
        // What comes after the last byte that is needed may be missing, and nothing else.
        const outcome = await decodeWatched(cut, undefined).then(
          async ({ disk }) => Buffer.compare(await readAll(disk), content),
          (error: unknown) => (error as { code: string }).code,
        )
        expect([0, 'VDI_IO_ERROR']).toContain(outcome)
      }),
      { numRuns: 200 },
    ))
})

/** An image whose last cluster ends early, if it is one of data: what is missing reads as zeros. */
const shorten = ({ bytes, content, offsets }: BuiltImage, spec: ImageSpec, cut: number) => {
  const clusterSize = 2 ** spec.clusterBits
  const last = [...offsets].find(([, offset]) => offset === bytes.length - clusterSize)
  const [kind, number] = (last?.[0] ?? '').split(':')
  if (kind !== 'data') return { bytes, content }
  const missing = cut % clusterSize
  const end = (Number(number) + 1) * clusterSize
  content.fill(0, end - missing, end)
  return { bytes: bytes.subarray(0, bytes.length - missing), content }
}

const kindsOf = ({ virtualSize, clusterBits, clusters }: ImageSpec): string[] => {
  const count = Math.ceil(virtualSize / 2 ** clusterBits)
  return Array.from({ length: count }, (_, cluster) => {
    const content = clusters.get(cluster) ?? 'hole'
    return content === 'zeroAllocated' ? 'zero' : content
  })
}

const expectExtentsOf = async (disk: Disk, spec: ImageSpec): Promise<void> => {
  const found: string[] = []
  for (const { offset, length, kind } of await listExtents(disk)) {
    expect(offset).toBe(found.length * 2 ** spec.clusterBits)
    found.push(...Array.from({ length: Math.ceil(length / 2 ** spec.clusterBits) }, () => kind))
  }
  expect(found).toEqual(kindsOf(spec))
}

/** Each cluster that is allocated is written once, as what it is, and nothing else is. */
const expectWritesOf = (writes: readonly DiskWrite[], spec: ImageSpec): void => {
  const sectors: string[] = Array.from({ length: spec.virtualSize / SECTOR_SIZE }, () => 'hole')
  for (const write of writes) {
    const length = write.kind === 'zero' ? write.length : write.bytes.length
    for (let at = write.offset; at < write.offset + length; at += SECTOR_SIZE) {
      expect(sectors[at / SECTOR_SIZE]).toBe('hole')
      sectors[at / SECTOR_SIZE] = write.kind
    }
  }
  const kinds = kindsOf(spec)
  const inCluster = 2 ** spec.clusterBits / SECTOR_SIZE
  expect(sectors).toEqual(sectors.map((_, index) => kinds[Math.floor(index / inCluster)]))
}
