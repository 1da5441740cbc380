// Disks for tests: one whose bytes tell where they belong, one that notes what was read, and ways
// to compare and to cut.

import type { Disk } from '../../src/disk/disk.ts'
import { rangeWithin } from '../../src/disk/disk.ts'
import type { ByteRange, Extent, ExtentKind } from '../../src/disk/extents.ts'
import { clip, coalesce } from '../../src/disk/extents.ts'
import type { Image } from '../../src/image/image.ts'

/**
 * Fills `target` with the pattern: each aligned 8 bytes hold their own offset (plus 1, so that none
 * is zero).
 */
export const fillPattern = (offset: number, target: Uint8Array, seed = 0): void => {
  const first = offset - (offset % 8)
  const last = offset + target.length
  const whole = new BigUint64Array(Math.ceil((last - first) / 8))
  for (let index = 0; index < whole.length; index += 1) {
    whole[index] = (BigInt(seed) << 56n) | BigInt(first + index * 8 + 1)
  }
  target.set(new Uint8Array(whole.buffer).subarray(offset - first, last - first))
}

/** A stretch of a pattern disk, from the end of the one before. */
export type PatternPart = readonly [kind: ExtentKind, length: number]

/** A disk with the given stretches in order; data shows the pattern, the rest reads as zeros. */
export const createPatternDisk = (parts: readonly PatternPart[], seed = 0): Disk => {
  const extents: Extent[] = []
  let size = 0
  for (const [kind, length] of parts) {
    extents.push({ offset: size, length, kind })
    size += length
  }
  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      for await (const extent of coalesce(extents)) {
        const inside = clip(extent, asked)
        if (inside !== undefined) yield inside
      }
    },
    async read(offset, target) {
      const asked = rangeWithin(size, { offset, length: target.length })
      target.fill(0)
      for (const extent of extents) {
        const inside = extent.kind === 'data' ? clip(extent, asked) : undefined
        if (inside === undefined) continue
        const start = inside.offset - offset
        fillPattern(inside.offset, target.subarray(start, start + inside.length), seed)
      }
    },
    async close() {},
  }
}

/**
 * Passes everything on to `disk` and keeps the ranges that were read and how often it was closed.
 */
export const createRecordingDisk = (disk: Disk) => {
  const reads: ByteRange[] = []
  let closes = 0
  const recording: Disk = {
    size: disk.size,
    extents: (range) => disk.extents(range),
    read(offset, target, signal) {
      reads.push({ offset, length: target.length })
      return disk.read(offset, target, signal)
    },
    close() {
      closes += 1
      return disk.close()
    },
  }
  return { disk: recording, reads, closes: () => closes }
}

/** What buffers hold before a read, as recycled ones do: a byte that is not filled shows. */
const staleByte = 0xa5

/** All bytes of a disk or image; `step` bytes a read. */
export const readAll = async (source: Disk | Image, step = 1 << 20): Promise<Uint8Array> => {
  const bytes = new Uint8Array(source.size).fill(staleByte)
  for (let offset = 0; offset < bytes.length; offset += step) {
    await source.read(offset, bytes.subarray(offset, Math.min(bytes.length, offset + step)))
  }
  return bytes
}

export const readRange = async (
  source: Disk | Image,
  offset: number,
  length: number,
): Promise<Uint8Array> => {
  const bytes = new Uint8Array(length).fill(staleByte)
  await source.read(offset, bytes)
  return bytes
}

/** All extents of a disk, in an array. */
export const listExtents = (disk: Disk, range?: ByteRange): Promise<Extent[]> =>
  Array.fromAsync(disk.extents(range))

/** `bytes` in chunks whose lengths go round `lengths`. */
export async function* cutInChunks(
  bytes: Uint8Array,
  lengths: readonly number[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const length = lengths[index % lengths.length]!
    yield bytes.subarray(at, at + length)
    at += length
  }
}

/**
 * Throws with the first offset where the two differ: a failed comparison of megabytes that a person
 * can read.
 */
export const expectSameBytes = (found: Uint8Array, expected: Uint8Array, label = 'bytes'): void => {
  if (found.length !== expected.length) {
    throw new Error(`${label}: ${found.length} bytes, expected ${expected.length}`)
  }
  if (Buffer.compare(found, expected) === 0) return
  const at = found.findIndex((byte, index) => byte !== expected[index])
  const show = (bytes: Uint8Array): string =>
    Buffer.from(bytes.subarray(at, at + 16)).toString('hex')
  throw new Error(
    `${label} differ at ${at} (0x${at.toString(16)}): ${show(found)}, expected ${show(expected)}`,
  )
}
