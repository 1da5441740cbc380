// Disk images for uploads: made with Node and qemu-img, and compared by qemu-img.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { FormatName } from '../../src/format-table.ts'
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
  await qemuImg('convert', '-f', 'raw', '-O', qemuName(format), ...args, path, target)
  return target
}

/**
 * Throws unless both images show a guest the same bytes; of unlike sizes, the rest must be zeros.
 */
export const expectSameGuest = async (
  [path, format]: readonly [path: string, format: FormatName],
  [otherPath, otherFormat]: readonly [path: string, format: FormatName],
): Promise<void> => {
  const formats = ['-f', qemuName(format), '-F', qemuName(otherFormat)]
  await qemuImg('compare', ...formats, path, otherPath)
}

/** Throws unless qemu-img finds nothing to complain of. It checks only QCOW2. */
export const expectCleanImage = async (path: string, format: FormatName): Promise<void> => {
  if (format === 'qcow2') await qemuImg('check', '-f', 'qcow2', path)
  else await qemuImg('info', '-f', qemuName(format), path)
}
