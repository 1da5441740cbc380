// The disks that the benchmark moves: the same bytes at each run, and bytes that no packing makes
// smaller.

import { createCipheriv } from 'node:crypto'
import { open } from 'node:fs/promises'

const KiB = 1024
const MiB = 1024 * KiB

export interface DiskPlan {
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Bytes of data, about. Equal to `size`: the disk is full. */
  readonly dataSize: number
  /** Data in every second stretch of so many bytes, rather than here and there. */
  readonly everySecond?: number
}

/** Numbers from 0 to 1 that are the same at each run (mulberry32). */
const createRandom = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Stretches of data of 64 KiB to 4 MiB, small ones more often, on pages of 4 KiB, and gaps between.
 */
const scatter = function* (plan: DiskPlan): Generator<[number, number]> {
  const { size, dataSize, everySecond } = plan
  if (dataSize === size) return yield [0, size]
  if (everySecond !== undefined) {
    for (let at = 0; at < size; at += 2 * everySecond) yield [at, everySecond]
    return undefined
  }
  const random = createRandom(20_260_101)
  const page = (bytes: number): number => Math.floor(bytes / 4096) * 4096
  const emptyPerByte = (size - dataSize) / dataSize
  for (let offset = 0; ;) {
    const length = page(64 * KiB * 64 ** random())
    offset += page(length * emptyPerByte * 2 * random())
    if (offset + length > size) return undefined
    yield [offset, length]
    offset += length
  }
}

/** Writes the disk as a sparse raw file; how many stretches and bytes of data it has. */
export const writeDisk = async (
  path: string,
  plan: DiskPlan,
): Promise<{ extents: number; bytes: number }> => {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16, 2))
  const zeros = Buffer.alloc(4 * MiB)
  const file = await open(path, 'w')
  await file.truncate(plan.size)
  let extents = 0
  let bytes = 0
  for (const [offset, length] of scatter(plan)) {
    for (let at = 0; at < length; at += zeros.length) {
      const noise = cipher.update(zeros.subarray(0, Math.min(zeros.length, length - at)))
      await file.write(noise, 0, noise.length, offset + at)
    }
    extents += 1
    bytes += length
  }
  await file.close()
  return { extents, bytes }
}
