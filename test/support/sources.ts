// Disk images for uploads: made with Node and qemu-img, and compared by qemu-img; what QEMU does
// not know, by Python.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { FormatName } from '../../src/format-table.ts'
import { packTar, unpackTar } from './block-tars.ts'
import { fillPattern } from './disks.ts'
import { qemuImg } from './tools.ts'

/** What qemu-img calls a format. */
export const qemuName = (format: FormatName): string => (format === 'vhd' ? 'vpc' : format)

type Part = readonly [offset: number, length: number]

/** Stretches of data on the disk that most tests carry around. */
const scattered: readonly Part[] = [
  [0, 4096],
  [64 * 1024 - 512, 1024],
  [3 << 20, 5 << 20],
  [(12 << 20) + 512, 70_144],
  [(24 << 20) - 512, 1024],
]

export const sourceSize = (24 << 20) + 512

/** A sparse raw file in `folder`, `sourceSize` bytes unless told, with the pattern at `parts`. */
export const createRawSource = async (
  folder: string,
  name = 'source.raw',
  { size = sourceSize, parts = scattered, seed = 0 } = {},
): Promise<string> => {
  const path = join(folder, name)
  const file = await open(path, 'w')
  await file.truncate(size)
  for (const [offset, length] of parts) {
    const bytes = Buffer.alloc(length)
    fillPattern(offset, bytes, seed)
    await file.write(bytes, 0, length, offset)
  }
  await file.close()
  return path
}

/** `path`, a raw file, as `format` beside it, written by qemu-img; the new path. */
export const convertSource = async (
  path: string,
  format: FormatName,
  ...args: string[]
): Promise<string> => {
  if (format === 'raw') return path
  const target = path.replace(/\.raw$/, `.${format}`)
  if (format === 'tar') {
    await packTar(path, target)
    return target
  }
  await qemuImg('convert', '-f', 'raw', '-O', qemuName(format), ...args, path, target)
  return target
}

/**
 * Throws unless both images show a guest the same bytes; of unlike sizes, the rest must be zeros.
 */
export const expectSameGuest = async (
  image: readonly [path: string, format: FormatName],
  other: readonly [path: string, format: FormatName],
): Promise<void> => {
  const [path, format] = await readableByQemu(image)
  const [otherPath, otherFormat] = await readableByQemu(other)
  const formats = ['-f', qemuName(format), '-F', qemuName(otherFormat)]
  await qemuImg('compare', ...formats, path, otherPath)
}

/** A raw file beside a tar archive, which QEMU does not read. */
const readableByQemu = async ([path, format]: readonly [path: string, format: FormatName]) => {
  if (format !== 'tar') return [path, format] as const
  const raw = `${path}.unpacked.raw`
  await unpackTar(path, raw)
  return [raw, 'raw'] as const
}

/** Throws unless qemu-img finds nothing to complain of. It checks only QCOW2. */
export const expectCleanImage = async (path: string, format: FormatName): Promise<void> => {
  if (format === 'qcow2') await qemuImg('check', '-f', 'qcow2', path)
  else if (format === 'tar') await readableByQemu([path, format])
  else await qemuImg('info', '-f', qemuName(format), path)
}
