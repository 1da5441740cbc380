// What diskport writes as QCOW2: exports, deltas and layers of any disk are exact to the cluster,
// and read back as what they were made of.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { Disk } from '../../src/disk/disk.ts'
import { rangeWithin } from '../../src/disk/disk.ts'
import type { ByteRange, Extent } from '../../src/disk/extents.ts'
import { clip, coalesce } from '../../src/disk/extents.ts'
import type { LayerParent } from '../../src/formats/format.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { decodeBytes, testIdentity } from '../laws/format-laws.ts'
import type { PatternPart } from '../support/disks.ts'
import {
  createPatternDisk,
  expectSameBytes,
  fillPattern,
  listExtents,
  readAll,
} from '../support/disks.ts'
import { checkImage } from '../support/qcow2-check.ts'

const identity = { ...testIdentity, base: { uuid: 'base-uuid', timestamp: testIdentity.timestamp } }

const lengths = fc.oneof(
  fc.integer({ min: 1, max: 300 }).map((sectors) => sectors * SECTOR_SIZE),
  fc.integer({ min: 1, max: 16 }).map((clusters) => clusters * 64 * KiB),
)
const parts: fc.Arbitrary<PatternPart[]> = fc.array(
  fc.tuple(fc.constantFrom('data' as const, 'zero' as const, 'hole' as const), lengths),
  { minLength: 1, maxLength: 10 },
)

/** A disk of given bytes, with given extents. */
const createDisk = (bytes: Uint8Array, extents: readonly Extent[]): Disk => ({
  size: bytes.length,
  async *extents(range) {
    const asked = rangeWithin(bytes.length, range)
    for await (const extent of coalesce(extents)) {
      const inside = clip(extent, asked)
      if (inside !== undefined) yield inside
    }
  },
  async read(offset, target) {
    target.set(bytes.subarray(offset, offset + target.length))
  },
  async close() {},
})

const flatWriter = (bytes: Uint8Array) => ({
  size: bytes.length,
  async write(offset: number, source: Uint8Array) {
    bytes.set(source, offset)
  },
  async zero(offset: number, length: number) {
    bytes.fill(0, offset, offset + length)
  },
})

const longest = 12 * MiB
const patterns = new Map<number, Uint8Array>()

/**
 * Writes the pattern for `offset`, which is made once for all runs: its numbers take their time.
 */
const setPattern = (offset: number, target: Uint8Array, seed: number): void => {
  let pattern = patterns.get(seed)
  if (pattern === undefined) {
    pattern = new Uint8Array(longest)
    fillPattern(0, pattern, seed)
    patterns.set(seed, pattern)
  }
  target.set(pattern.subarray(offset, offset + target.length))
}

/** What was there before: another pattern, with some of it empty. */
const basePattern = (size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  setPattern(0, bytes, 3)
  for (let offset = 0; offset < size; offset += 5 * MiB) bytes.fill(0, offset, offset + MiB)
  return bytes
}

describe('qcow2 plans', () => {
  test('every cluster of an export is used once', () =>
    fc.assert(
      fc.asyncProperty(parts, async (parts) => {
        const bytes = await readAll(await qcow2.plan(createPatternDisk(parts), testIdentity))
        checkImage(bytes)
        expect(bytes.length % (64 * KiB)).toBe(0)
      }),
      { numRuns: 40 },
    ))

  for (const delta of ['compatible', 'compact'] as const) {
    test(`a ${delta} delta of A since B, decoded over B, gives A`, () =>
      fc.assert(
        fc.asyncProperty(parts, async (changes) => {
          const changed = createPatternDisk(changes)
          const before = basePattern(changed.size)
          const after = new Uint8Array(before)
          const extents = await listExtents(changed)
          for (const { offset, length, kind } of extents) {
            if (kind === 'data') setPattern(offset, after.subarray(offset, offset + length), 4)
            if (kind === 'zero') after.fill(0, offset, offset + length)
          }
          const image = await qcow2.plan(createDisk(after, extents), identity, { delta })
          const bytes = await readAll(image)
          checkImage(bytes)
          const decoded = await decodeBytes(qcow2, bytes, [5000])
          expect(decoded.isDelta).toBe(delta === 'compact')
          const target = new Uint8Array(before)
          await copyWrites(decoded.writes(), flatWriter(target))
          expectSameBytes(target, after)

          const opened = await qcow2.open(createMemoryImage(bytes))
          for (const extent of await listExtents(opened)) expectUnchanged(extent, extents, delta)
        }),
        { numRuns: 40 },
      ))
  }
})

/** What the image says nothing about did not change; a compact one says no more than it must. */
const expectUnchanged = (found: Extent, changes: readonly Extent[], delta: string): void => {
  const touching = changes.filter((change) => clip(change, found) !== undefined)
  const kinds = new Set(touching.map(({ kind }) => kind))
  if (found.kind === 'hole') expect([...kinds]).toEqual(['hole'])
  if (found.kind === 'zero') expect([...kinds]).toEqual(['zero'])
  if (delta === 'compatible') {
    expect(found.kind).not.toBe('zero')
    expect(found.offset % (2 * MiB)).toBe(0)
  }
}

interface Step extends ByteRange {
  readonly isZero: boolean
}

/** Steps in groups; those of one group do not overlap, and run at once. */
const stepGroups = (size: number): fc.Arbitrary<Step[][]> => {
  const sectors = size / SECTOR_SIZE
  const group = fc
    .uniqueArray(fc.integer({ min: 0, max: sectors }), { minLength: 2, maxLength: 12 })
    .chain((cuts) => {
      const sorted = cuts.toSorted((a, b) => a - b)
      const kinds = fc.array(fc.constantFrom('write', 'write', 'zero', 'skip'), {
        minLength: sorted.length - 1,
        maxLength: sorted.length - 1,
      })
      return kinds.map((kinds) =>
        kinds.flatMap((kind, index) => {
          if (kind === 'skip') return []
          const offset = sorted[index]! * SECTOR_SIZE
          const length = sorted[index + 1]! * SECTOR_SIZE - offset
          return [{ offset, length, isZero: kind === 'zero' }]
        }),
      )
    })
  return fc.array(group, { minLength: 1, maxLength: 6 })
}

const sizes = [SECTOR_SIZE, 64 * KiB - SECTOR_SIZE, 640 * KiB, 3 * MiB + SECTOR_SIZE, 6 * MiB]

describe('qcow2 layers', () => {
  for (const withParent of [false, true]) {
    const title = withParent ? 'on a parent' : 'without a parent'
    test(`any writes, several at once, ${title}: content and clusters are exact`, () =>
      fc.assert(
        fc.asyncProperty(
          fc
            .constantFrom(...sizes)
            .chain((size) => fc.tuple(fc.constant(size), stepGroups(size), fc.nat(size * 2))),
          async ([size, groups, parentSize]) => {
            const parentBytes = basePattern(Math.max(SECTOR_SIZE, parentSize - (parentSize % 512)))
            const parent = await createParent(parentBytes)
            const file = createMemoryImage()
            const { uuid, timestamp } = testIdentity
            const layer = await qcow2.createLayer(file, {
              size,
              uuid,
              timestamp,
              ...(withParent ? { parent } : {}),
            })
            const expected = new Uint8Array(size)
            if (withParent) expected.set(parentBytes.subarray(0, size))
            for (const [index, group] of groups.entries()) {
              await Promise.all(
                group.map(({ offset, length, isZero }) => {
                  const target = expected.subarray(offset, offset + length)
                  if (!isZero) setPattern(offset, target, 10 + index)
                  else target.fill(0)
                  return isZero
                    ? layer.zero(offset, length)
                    : layer.write(offset, new Uint8Array(target))
                }),
              )
            }
            await layer.seal()
            const bytes = await readAll(file)
            checkImage(bytes)
            const opened = await qcow2.open(file)
            const found = withParent ? new Uint8Array(parentBytes.subarray(0, size)) : undefined
            expectSameBytes(await readOver(opened, found), expected)
          },
        ),
        { numRuns: 80 },
      ))
  }
})

/** A parent whose extents tell what of it is empty. */
const createParent = async (bytes: Uint8Array): Promise<LayerParent> => {
  const extents: Extent[] = []
  for (let offset = 0; offset < bytes.length; offset += 5 * MiB) {
    const empty = Math.min(MiB, bytes.length - offset)
    extents.push({ kind: offset === 0 ? 'hole' : 'zero', offset, length: empty })
    const length = Math.min(4 * MiB, bytes.length - offset - empty)
    extents.push({ kind: 'data', offset: offset + empty, length })
  }
  const { uuid, timestamp } = testIdentity
  const disk = createDisk(bytes, extents)
  return { uuid, timestamp, format: 'qcow2', fileName: 'parent.qcow2', disk }
}

/** The disk where it says something, `below` where it does not. */
const readOver = async (disk: Disk, below: Uint8Array | undefined): Promise<Uint8Array> => {
  const bytes = new Uint8Array(disk.size)
  if (below !== undefined) bytes.set(below)
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind !== 'hole') await disk.read(offset, bytes.subarray(offset, offset + length))
  }
  return bytes
}
