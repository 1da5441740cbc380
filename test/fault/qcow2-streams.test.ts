// QCOW2 streams that end early, name a cluster twice, or are odd and taken all the same.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { DecodeContext } from '../../src/formats/format.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { KiB, MiB } from '../../src/units.ts'
import { decodeBytes, rebuild, testIdentity } from '../laws/format-laws.ts'
import {
  createPatternDisk,
  cutInChunks,
  listExtents,
  readAll,
  readRange,
} from '../support/disks.ts'
import { createCountingSpool, decodeWatched } from '../support/qcow2-decode.ts'
import type { Patch } from '../support/qcow2-faults.ts'
import {
  all,
  entryFor,
  extension,
  failureOf,
  incompatible,
  l1Entry,
  l2Entry,
  patched,
  spec,
  u32,
  u64,
} from '../support/qcow2-faults.ts'
import type { ImageSpec } from '../support/qcow2-image.ts'
import { buildImage } from '../support/qcow2-image.ts'

describe('qcow2 clusters with two owners are refused in a stream', () => {
  const reversed: ImageSpec = { ...spec, arrange: (names) => names.toReversed() }
  const l1Last: ImageSpec = {
    ...spec,
    arrange: (names) => [...names.filter((name) => name !== 'l1'), 'l1'],
  }
  const cases: Record<string, Patch> = {
    'two guest clusters': l2Entry(70, (image) => entryFor(image, 'data:1')),
    'two guest clusters of one table': l2Entry(5, (image) => entryFor(image, 'data:1')),
    'two L1 entries': l1Entry(1, (image) => entryFor(image, 'l2:0')),
    'a guest cluster and the L1 table': l2Entry(70, (image) => entryFor(image, 'l1')),
    'a guest cluster and its L2 table': l2Entry(70, (image) => entryFor(image, 'l2:1')),
    'a guest cluster and another L2 table': l2Entry(70, (image) => entryFor(image, 'l2:0')),
    'an L2 table and the L1 table': l1Entry(1, (image) => entryFor(image, 'l1')),
  }
  for (const [title, patch] of Object.entries(cases)) {
    for (const [order, base] of Object.entries({ 'in order': spec, reversed, 'L1 last': l1Last })) {
      test(`${title}, ${order}`, async () => {
        const bytes = patched(patch, base)
        const failure = await failureOf(decodeWatched(bytes, bytes.length))
        // What is read as a table may not look like one: then that is what is said.
        expect(failure.code).toBe('IMPORT_ERROR_GENERIC')
        expect(failure.message).toMatch(
          /lies at 0x[0-9a-f]+, which something else uses too|has reserved bits|points past the end|is compressed|not point/,
        )
      })
    }
  }
})

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

  test('a last cluster that ends early is filled up with zeros', async () => {
    for (const version of [2, 3] as const) {
      const { bytes, content } = buildImage({
        ...spec,
        version,
        clusters: new Map([[7, 'data']]),
        leaks: 0,
      })
      for (const missing of [1, 100, 511]) {
        const short = bytes.subarray(0, bytes.length - missing)
        const expected = new Uint8Array(content)
        expected.fill(0, 8 * 512 - missing, 8 * 512)
        const { disk } = await decodeWatched(short, short.length)
        expect(Buffer.compare(await readAll(disk), expected)).toBe(0)
        const opened = await qcow2.open(createMemoryImage(short))
        expect(Buffer.compare(await readAll(opened), expected)).toBe(0)
        // Where the length is not known, it cannot be told from a stream that was cut.
        const failure = await failureOf(decodeWatched(short, undefined))
        expect(failure.code).toBe('VDI_IO_ERROR')
      }
    }
  })

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

describe('qcow2 streams that end early', () => {
  const orders: Record<string, ImageSpec> = {
    'in order': { ...spec, leaks: 0 },
    reversed: { ...spec, leaks: 0, arrange: (names) => names.toReversed() },
  }
  for (const [order, base] of Object.entries(orders)) {
    test(`cut at and around each structure, ${order}`, async () => {
      const { bytes, offsets } = buildImage(base)
      // The last thing that is needed; what comes after it may be missing, if the length is not known.
      const needed = ['l1', 'l2:0', 'l2:1', 'data:0', 'data:1', 'data:70', 'data:99']
      const last = Math.max(...needed.map((name) => offsets.get(name)!))
      for (const offset of [0, ...offsets.values(), last + 16]) {
        for (const cut of [offset - 1, offset, offset + 1, offset + 15]) {
          if (cut < 0 || cut >= last + 16) continue
          for (const length of [bytes.length, undefined]) {
            const failure = await failureOf(decodeWatched(bytes.subarray(0, cut), length))
            expect(failure.code).toBe('VDI_IO_ERROR')
            expect(failure.message).toContain(`the stream ends after ${cut} bytes`)
            expect(failure.message).toMatch(/^Cannot decode qcow2: /)
          }
        }
      }
    })
  }

  test('the message names the guest offset and where its cluster should have come', async () => {
    const { bytes, offsets } = buildImage({ ...spec, leaks: 0 })
    const offset = offsets.get('data:70')!
    const cut = bytes.subarray(0, offset)
    const failure = await failureOf(decodeWatched(cut, bytes.length))
    expect(failure.message).toContain(`the stream ends after ${offset} bytes`)
    expect(failure.message).toContain(`guest offset 0x${(70 * 512).toString(16)}`)
    expect(failure.message).toContain(`0x${offset.toString(16)}`)
  })

  test('a file that is shorter than a header, or than its first cluster', async () => {
    await expect(qcow2.open(createMemoryImage())).rejects.toThrow(
      'Cannot open qcow2: the file has 0 bytes',
    )
    const { bytes } = buildImage({ ...spec, clusterBits: 12 })
    const short = createMemoryImage(bytes.subarray(0, 4095))
    await expect(qcow2.open(short)).rejects.toThrow('the file has 4095 bytes, one cluster has 4096')
  })

  test('a source that breaks is a broken connection', async () => {
    const { bytes } = buildImage(spec)
    async function* breaking() {
      yield* cutInChunks(bytes.subarray(0, 3000), [100])
      throw new Error('ECONNRESET')
    }
    const context: DecodeContext = {
      buffers: createBufferPool(2, 4096),
      openSpool: createCountingSpool().open,
    }
    const decoded = await qcow2.decode(createForwardReader(breaking()), context)
    const failure = await failureOf(rebuild(decoded))
    expect(failure).toMatchObject({ code: 'VDI_IO_ERROR' })
    expect(failure.message).toContain('the connection broke after 3000 bytes')
  })

  test('a spool that fails ends the import, with everything given back', async () => {
    const clusters = new Map(Array.from({ length: 20 }, (_, cluster) => [cluster, 'data'] as const))
    const { bytes } = buildImage({ ...spec, clusters, arrange: (names) => names.toReversed() })
    let closed = 0
    const decoder = await qcow2.decode(createForwardReader(cutInChunks(bytes, [100])), {
      buffers: createBufferPool(2, 4096),
      openSpool: async () => ({
        append: async () => Promise.reject(new Error('ENOSPC')),
        read: async () => {},
        close: async () => {
          closed += 1
        },
      }),
    })
    // Eight MiB stay in memory: this image never comes to the spool, and is taken.
    await rebuild(decoder)
    expect(closed).toBe(0)
    const small = { awaitedRuns: 9, ignoredRuns: 9, parkedRuns: 9, parkedBytes: 1024 }
    const failing = decodeWatched(bytes, bytes.length, small, 4096, async () => {
      throw new Error('no space left')
    })
    await expect(failing).rejects.toThrow('no space left')
  })

  test('an aborted signal ends the import', async () => {
    const bytes = await readAll(
      await qcow2.plan(createPatternDisk([['data', 8 * MiB]]), testIdentity),
    )
    const controller = new AbortController()
    const stream = createForwardReader(cutInChunks(bytes, [64 * KiB]), controller.signal)
    const decoded = await qcow2.decode(stream, {
      buffers: createBufferPool(2, MiB),
      openSpool: createCountingSpool().open,
      signal: controller.signal,
    })
    let count = 0
    const consume = async (): Promise<void> => {
      for await (const write of decoded.writes()) {
        count += 1
        controller.abort()
        if (write.kind === 'data') write.release?.()
      }
    }
    expect(await failureOf(consume())).toMatchObject({ code: 'TASK_CANCELLED' })
    expect(count).toBe(1)
  })
})

describe('qcow2 with flipped bits', () => {
  test('is read or refused with an AppError, and never hangs', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(7)), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.boolean(),
        async (flips, isReversed) => {
          const arrange = (names: string[]): string[] => (isReversed ? names.toReversed() : names)
          const { bytes, offsets } = buildImage({ ...spec, arrange })
          // Headers and tables: what is flipped in data is data.
          const targets = [
            0,
            0,
            ...['l1', 'l2:0', 'l2:1', 'refcounts'].map((name) => offsets.get(name)!),
          ]
          for (const [where, bit] of flips) {
            const place = where * targets.length
            const start = targets[Math.floor(place)]!
            bytes[start + Math.floor((place % 1) * 128)]! ^= 1 << bit
          }
          const attempts = [
            decodeBytes(qcow2, bytes, [700]).then(async (decoded) => {
              for await (const write of decoded.writes()) {
                if (write.kind === 'data') write.release?.()
              }
            }),
            qcow2.open(createMemoryImage(bytes)).then(async (disk) => {
              await listExtents(disk)
              await readRange(disk, 0, Math.min(disk.size, MiB))
            }),
          ]
          for (const attempt of attempts) await expectReadOrRefused(attempt)
        },
      ),
      { numRuns: 1500 },
    ))
})

const expectReadOrRefused = async (attempt: Promise<unknown>): Promise<void> => {
  const outcome: unknown = await attempt.then(
    () => 'read',
    (error: unknown) => (error instanceof AppError ? 'refused' : error),
  )
  expect(['read', 'refused']).toContain(outcome)
}
