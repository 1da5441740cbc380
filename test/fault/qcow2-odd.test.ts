// QCOW2 images that are odd, and read all the same.

import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/disk/disk.ts'
import { defaultLimits } from '../../src/formats/qcow2/stream/decode-limits.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { readAll } from '../support/disks.ts'
import { decodeWatched } from '../support/qcow2-decode.ts'
import type { Patch } from '../support/qcow2-faults.ts'
import {
  all,
  entryFor,
  extension,
  failureOf,
  incompatible,
  l2Entry,
  patched,
  spec,
  u32,
  u64,
} from '../support/qcow2-faults.ts'
import type { ImageSpec } from '../support/qcow2-image.ts'
import { buildImage } from '../support/qcow2-image.ts'

/** Clusters 6 and 7 come last, one after the other. */
const lastOnes = (names: string[]): string[] => {
  const last = ['data:6', 'data:7']
  return [...names.filter((name) => !last.includes(name)), ...last]
}

describe('qcow2 that is odd and taken', () => {
  const cases: Record<string, Patch> = {
    'the dirty bit': incompatible(0),
    'lazy refcounts': u64(80, 1),
    'unknown compatible bits': u64(80, 2n ** 64n - 1n),
    'unknown autoclear bits': u64(88, 2n ** 64n - 1n),
    'unknown extensions': extension(0xdeadbeef, 13),
    'no refcounts': all(u64(48, 0), u32(56, 0)),
    'a refcount table of nonsense': (view, image) => {
      const offset = image.offsets.get('refcounts')!
      for (let entry = 0; entry < 64; entry += 1)
        view.setBigUint64(offset + entry * 8, 2n ** 64n - 1n - BigInt(entry))
    },
    'refcount blocks over what the guest has': (view, image) => {
      const offset = image.offsets.get('refcounts')!
      const names = ['header', 'l1', 'l2:0', 'data:0', 'data:70']
      for (const [index, block] of names.entries()) {
        view.setBigUint64(offset + index * 8, BigInt(image.offsets.get(block) ?? 0))
      }
    },
    'a backing name of no bytes': all(u64(8, 256), u32(16, 0)),
    'compressed clusters after the end of the disk': l2Entry(120, () => 1n << 62n),
  }
  for (const [title, patch] of Object.entries(cases)) {
    test(`taken: ${title}`, async () => {
      const { content } = buildImage(spec)
      const bytes = patched(patch)
      const { disk } = await decodeWatched(bytes, bytes.length)
      expect(Buffer.compare(await readAll(disk), content)).toBe(0)
      const opened = await qcow2.open(createMemoryImage(bytes))
      expect(Buffer.compare(await readAll(opened), content)).toBe(0)
    })
  }

  test('a guest cluster over a refcount table that is still to come', async () => {
    const first = new Set(['l1', 'l2:0'])
    const image = buildImage({
      ...spec,
      arrange: (names) => [...first, ...names.filter((name) => !first.has(name))],
    })
    const view = new DataView(image.bytes.buffer)
    l2Entry(5, () => entryFor(image, 'refcounts'))(view, image)
    const { disk } = await decodeWatched(image.bytes, image.bytes.length)
    const opened = await qcow2.open(createMemoryImage(image.bytes))
    expect(Buffer.compare(await readAll(disk), await readAll(opened))).toBe(0)
  })

  test('a refcount block over a guest cluster that is known, while others are not', async () => {
    const first = ['refcounts', 'l1', 'l2:0', 'data:0', 'data:70', 'data:1', 'data:99', 'l2:1']
    const image = buildImage({
      ...spec,
      arrange: (names) => [...first, ...names.filter((name) => !first.includes(name))],
    })
    const view = new DataView(image.bytes.buffer)
    const offset = image.offsets.get('refcounts')!
    view.setBigUint64(offset, BigInt(image.offsets.get('data:0')!))
    const { disk } = await decodeWatched(image.bytes, image.bytes.length)
    expect(Buffer.compare(await readAll(disk), image.content)).toBe(0)
  })

  /** Each kind of way that an image comes. */
  const arrivals: Record<string, (bytes: Uint8Array) => Promise<Disk>> = {
    'at rest': (bytes) => qcow2.open(createMemoryImage(bytes)),
    'in a stream of known length': async (bytes) => (await decodeWatched(bytes, bytes.length)).disk,
    'from a pipe': async (bytes) => (await decodeWatched(bytes, undefined)).disk,
    'from a pipe, in small buffers': async (bytes) =>
      (await decodeWatched(bytes, undefined, defaultLimits, 512)).disk,
    'from a pipe, with more gaps than are remembered': async (bytes) =>
      (await decodeWatched(bytes, undefined, { ...defaultLimits, parkedRuns: 1 })).disk,
    'from a pipe, with L2 tables put off': async (bytes) =>
      (await decodeWatched(bytes, undefined, { ...defaultLimits, awaitedRuns: 0 })).disk,
  }
  for (const [how, arrive] of Object.entries(arrivals)) {
    test.each([2, 3] as const)(
      `a last cluster that ends early is filled up with zeros, ${how}, version %d`,
      async (version) => {
        const clusters = new Map([6, 7, 70].map((cluster) => [cluster, 'data'] as const))
        const image = buildImage({ ...spec, version, clusters, leaks: 0, arrange: lastOnes })
        for (const missing of [1, 100, 511]) {
          const short = image.bytes.subarray(0, image.bytes.length - missing)
          const expected = image.content.slice().fill(0, 8 * 512 - missing, 8 * 512)
          expect(Buffer.compare(await readAll(await arrive(short)), expected)).toBe(0)
        }
        for (const missing of [512, 513, 1000]) {
          const short = image.bytes.subarray(0, image.bytes.length - missing)
          const failure = await failureOf(arrive(short).then(readAll))
          expect(failure.message).toMatch(/ends after|past the end of the image/)
        }
      },
    )
  }

  test('a last cluster of many buffers that ends early is filled up with zeros', async () => {
    const clusters = new Map([[1, 'data'] as const])
    const image = buildImage({
      ...spec,
      clusterBits: 16,
      clusters,
      virtualSize: 600 * 512,
      leaks: 0,
    })
    for (const missing of [1, 512, 40_000, 65_535]) {
      const short = image.bytes.subarray(0, image.bytes.length - missing)
      const expected = image.content.slice().fill(0, 2 * 65_536 - missing, 2 * 65_536)
      for (const length of [short.length, undefined]) {
        const { disk } = await decodeWatched(short, length, defaultLimits, 4096)
        expect(Buffer.compare(await readAll(disk), expected)).toBe(0)
      }
    }
  })

  test.each(['l1', 'l2:0'])(
    'a table that ends early is an error however it comes: %s',
    async (table) => {
      const image = buildImage({
        ...spec,
        leaks: 0,
        arrange: (names) => [...names.filter((name) => name !== table), table],
      })
      const end = image.offsets.get(table)! + 8
      const short = image.bytes.subarray(0, end)
      for (const arrive of Object.values(arrivals)) {
        await expect(arrive(short).then(readAll)).rejects.toThrow(/Cannot (open|decode) qcow2/)
      }
    },
  )

  test('a last cluster that ends with the disk needs no rest, whether the length is known or not', async () => {
    const odd: ImageSpec = {
      ...spec,
      clusterBits: 12,
      virtualSize: 9 * 512,
      clusters: new Map([[1, 'data']]),
      leaks: 0,
    }
    const { bytes, content } = buildImage(odd)
    const short = bytes.subarray(0, bytes.length - 4096 + 512)
    for (const length of [short.length, undefined]) {
      const { disk } = await decodeWatched(short, length)
      expect(Buffer.compare(await readAll(disk), content)).toBe(0)
    }
  })
})
