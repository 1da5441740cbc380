// Small images with one thing wrong, and the two ways to read them that have to say so.

import { expect } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { MiB } from '../../src/units.ts'
import { listExtents, readRange } from './disks.ts'
import { decodeWatched } from './qcow2-decode.ts'
import type { BuiltImage, ImageSpec } from './qcow2-image.ts'
import { buildImage } from './qcow2-image.ts'

/** A small image that has some of everything. */
export const spec: ImageSpec = {
  version: 3,
  clusterBits: 9,
  virtualSize: 100 * 512,
  clusters: new Map([
    [0, 'data'],
    [1, 'data'],
    [2, 'zero'],
    [3, 'zeroAllocated'],
    [70, 'data'],
    [99, 'data'],
  ]),
  leaks: 2,
}

/** Both ways to read an image to its end; each with what it failed with. */
const readBothWays = async (bytes: Uint8Array): Promise<Record<string, AppError>> => {
  const decode = async (): Promise<void> => {
    await decodeWatched(bytes, bytes.length)
  }
  const open = async (): Promise<void> => {
    const disk = await qcow2.open(createMemoryImage(bytes))
    await listExtents(disk)
    await readRange(disk, 0, Math.min(disk.size, MiB))
  }
  return { decode: await failureOf(decode()), open: await failureOf(open()) }
}

export const failureOf = async (attempt: Promise<unknown>): Promise<AppError> => {
  const [result] = await Promise.allSettled([attempt])
  if (result.status === 'fulfilled') throw new Error('The image was taken')
  expect(result.reason).toBeInstanceOf(AppError)
  return result.reason as AppError
}

export const expectRefused = async (bytes: Uint8Array, found: RegExp): Promise<void> => {
  const before = process.memoryUsage().arrayBuffers
  const failures = await readBothWays(bytes)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MiB)
  for (const [verb, failure] of Object.entries(failures)) {
    expect(failure.message).toMatch(found)
    expect(failure.message).toMatch(new RegExp(`^Cannot ${verb} qcow2: `))
    expect(failure.code).toBe('IMPORT_ERROR_GENERIC')
  }
}

/** Changes an image that was built. */
export type Patch = (view: DataView, image: BuiltImage) => void

export const patched = (patch: Patch, base: ImageSpec = spec): Uint8Array => {
  const image = buildImage(base)
  patch(new DataView(image.bytes.buffer), image)
  return image.bytes
}

export const u32 =
  (at: number, value: number): Patch =>
  (view) =>
    view.setUint32(at, value)
export const u64 =
  (at: number, value: number | bigint): Patch =>
  (view) =>
    view.setBigUint64(at, BigInt(value))
export const all =
  (...patches: Patch[]): Patch =>
  (view, image) => {
    for (const patch of patches) patch(view, image)
  }

/** Puts an extension after a header of 104 bytes. */
export const extension =
  (type: number, length: number, content: Uint8Array = new Uint8Array(0)): Patch =>
  (view) => {
    view.setUint32(104, type)
    view.setUint32(108, length)
    new Uint8Array(view.buffer).set(content, 112)
  }

export const l1Entry =
  (table: number, entry: (image: BuiltImage) => bigint): Patch =>
  (view, image) =>
    view.setBigUint64(image.offsets.get('l1')! + table * 8, entry(image))
export const l2Entry =
  (cluster: number, entry: (image: BuiltImage) => bigint): Patch =>
  (view, image) => {
    const table = image.offsets.get(`l2:${Math.floor(cluster / 64)}`)!
    view.setBigUint64(table + (cluster % 64) * 8, entry(image))
  }

export const copied = 1n << 63n
export const entryFor = (image: BuiltImage, name: string): bigint =>
  copied | BigInt(image.offsets.get(name)!)
export const incompatible = (bit: number): Patch => u64(72, 1n << BigInt(bit))
