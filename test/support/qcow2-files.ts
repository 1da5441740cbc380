// QCOW2 files on disk, and what qemu-img says of them.

import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { expect } from 'vitest'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import type { Disk, DiskWriter } from '../../src/disk/disk.ts'
import { qcow2 } from '../../src/formats/qcow2/qcow2.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createFileImage, openFileImage } from '../../src/image/file-image.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import type { Image } from '../../src/image/image.ts'
import { openFileSpool } from '../../src/image/spool.ts'
import { KiB, MiB, SECTOR_SIZE } from '../../src/units.ts'
import { testIdentity } from '../laws/format-laws.ts'
import type { PatternPart } from './disks.ts'
import { expectSameBytes, fillPattern, readAll, readRange } from './disks.ts'
import { qemuImg } from './tools.ts'

/** A raw file with the given stretches: data shows the pattern, the rest is a hole. */
export const createRaw = async (path: string, parts: readonly PatternPart[]): Promise<string> => {
  const file = await open(path, 'w')
  let offset = 0
  for (const [kind, length] of parts) {
    if (kind === 'data') {
      const bytes = new Uint8Array(length)
      fillPattern(offset, bytes)
      await file.write(bytes, 0, length, offset)
    }
    offset += length
  }
  await file.truncate(offset)
  await file.close()
  return path
}

export const mixed: readonly PatternPart[] = [
  ['data', 300 * KiB],
  ['hole', 2 * MiB],
  ['data', SECTOR_SIZE],
  ['hole', 70 * KiB],
  ['data', 5 * MiB],
  ['hole', 3 * MiB + SECTOR_SIZE],
  ['data', 100 * KiB],
]
/** Long enough that `qemu-img convert -W` writes several pieces at once, out of order. */
export const long: readonly PatternPart[] = [
  ['data', 20 * MiB],
  ['hole', MiB],
  ['data', 20 * MiB - SECTOR_SIZE],
]

/** A writer on plain memory, much faster than the sector map of memory-disk. */
export const createFlatWriter = (size: number): DiskWriter & { readonly bytes: Uint8Array } => {
  const bytes = new Uint8Array(size)
  return {
    size,
    bytes,
    async write(offset, source) {
      bytes.set(source, offset)
    },
    async zero(offset, length) {
      bytes.fill(0, offset, offset + length)
    },
  }
}

interface Decoded {
  readonly bytes: Uint8Array
  readonly spools: number
  readonly notes: readonly string[]
}

export const decodeFile = async (path: string, isLengthKnown = true): Promise<Decoded> => {
  const { size } = await stat(path)
  let spools = 0
  const decoded = await qcow2.decode(createForwardReader(createReadStream(path)), {
    buffers: createBufferPool(4, MiB),
    openSpool: () => {
      spools += 1
      return openFileSpool(`${path}.spool`)
    },
    ...(isLengthKnown ? { streamLength: size } : {}),
  })
  const writer = createFlatWriter(decoded.virtualSize)
  await copyWrites(decoded.writes(), writer)
  return { bytes: writer.bytes, spools, notes: decoded.notes ?? [] }
}

/** The image reads as qemu-img reads it: at rest, from a stream, and from one of unknown length. */
export const expectReadsLikeQemu = async (path: string): Promise<Decoded> => {
  await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', path, `${path}.raw`)
  const expected = await readFile(`${path}.raw`)
  const disk = await qcow2.open(await openFileImage(path))
  expect(disk.size).toBe(expected.length)
  expectSameBytes(await readAll(disk), expected, 'at rest')
  await disk.close()
  expectSameBytes((await decodeFile(path, false)).bytes, expected, 'from a stream without length')
  const decoded = await decodeFile(path)
  expectSameBytes(decoded.bytes, expected, 'from a stream')
  return decoded
}

export const writeImage = async (image: Image, path: string): Promise<void> => {
  const file = await createFileImage(path)
  const step = MiB
  for (let offset = 0; offset < image.size; offset += step) {
    const length = Math.min(step, image.size - offset)
    await file.write(offset, await readRange(image, offset, length))
  }
  await file.close()
  await image.close()
}

/** No errors, no leaks; the exit code says both. */
export const expectClean = async (path: string): Promise<void> => {
  const { stdout } = await qemuImg('check', '-f', 'qcow2', '--output=json', path)
  const report = JSON.parse(stdout) as Record<string, number>
  expect({ leaks: report['leaks'] ?? 0, corruptions: report['corruptions'] ?? 0 }).toEqual({
    leaks: 0,
    corruptions: 0,
  })
  expect(report['check-errors']).toBe(0)
  expect(report['image-end-offset']).toBe((await stat(path)).size)
}

export const expectSameDisk = async (path: string, rawPath: string): Promise<void> => {
  const { stdout } = await qemuImg('compare', '-f', 'qcow2', '-F', 'raw', path, rawPath)
  expect(stdout).toContain('Images are identical.')
}

export const createLayerFile = async (
  path: string,
  size: number,
  parent: { fileName: string; format: 'qcow2' | 'vhd' | 'raw'; disk: Disk } | undefined,
  write: (layer: DiskWriter) => Promise<void>,
): Promise<void> => {
  const file = await createFileImage(path)
  const { uuid, timestamp } = testIdentity
  const layer = await qcow2.createLayer(file, {
    size,
    uuid,
    timestamp,
    ...(parent === undefined ? {} : { parent: { ...parent, uuid, timestamp } }),
  })
  await write(layer)
  await layer.seal()
  await file.close()
}
