// Images that are files. Reads and writes are positional, any number at a time; close waits for
// those under way, so that a file descriptor is never used again too early.

import { constants, ftruncate, fsync, read, write } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { rangeWithin, throwIfAborted } from '../disk/disk.ts'
import { AppError, isNodeError } from '../errors.ts'
import { fileExtents } from './file-holes.ts'
import type { Image, WritableImage } from './image.ts'
import { createWriteBehind } from './write-behind.ts'

const truncateFile = promisify(ftruncate)
const syncFile = promisify(fsync)

/**
 * Opens an existing file for reading, which others may have put there: follows no link, and waits
 * for no pipe. Its size is taken once: the file must not change.
 * @throws AppError VDI_IO_ERROR for anything but a plain file
 */
export const openFileImage = async (path: string): Promise<Image> => {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  try {
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    return await readableImage(handle)
  } catch (error) {
    if (!isNodeError(error) || error.code !== 'ELOOP') throw error
    const found = 'it is a symbolic link, which is not followed'
    throw new AppError('VDI_IO_ERROR', [`Cannot open ${path}: ${found}`], { cause: error })
  }
}

/** On a throw the handle is closed. */
const readableImage = async (handle: FileHandle): Promise<Image> => {
  const stats = await handle.stat()
  if (!stats.isFile()) {
    await handle.close()
    throw new AppError('VDI_IO_ERROR', ['Cannot open a file: it is not a plain file'])
  }
  const { size } = stats
  const io = createFileIo(handle)
  return {
    size,
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      await io.read(offset, target)
    },
    extents: (range) => fileExtents(handle.fd, rangeWithin(size, range)),
    state: () =>
      io.run(async () => {
        const { size, mtimeNs, ctimeNs, ino } = await handle.stat({ bigint: true })
        return { size: Number(size), changedAt: mtimeNs, inodeChangedAt: ctimeNs, inode: ino }
      }),
    close: () => io.close(),
  }
}

/** Makes a new, empty file; EEXIST where there is one. */
export const createFileImage = async (path: string): Promise<WritableImage> => {
  const handle = await open(path, 'wx+', 0o600)
  const io = createFileIo(handle)
  const writeBehind = createWriteBehind(handle.fd, io.run)
  let size = 0
  return {
    get size() {
      return size
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      await io.read(offset, target)
    },
    extents: (range) => fileExtents(handle.fd, rangeWithin(size, range)),
    async write(offset, source, signal) {
      throwIfAborted(signal)
      size = Math.max(size, offset + source.length)
      await io.write(offset, source)
      writeBehind.wrote(source.length)
    },
    async truncate(wanted) {
      size = wanted
      await io.run(() => truncateFile(handle.fd, wanted))
    },
    sync: () => io.run(() => syncFile(handle.fd)),
    close: () => io.close(),
  }
}

/** Positional I/O on a file descriptor that counts what is under way. */
const createFileIo = (handle: { readonly fd: number; close(): Promise<void> }) => {
  let running = 0
  let closed: Promise<void> | undefined
  let idle: (() => void) | undefined

  const run = async <T>(step: () => Promise<T>): Promise<T> => {
    if (closed !== undefined) throw new Error('The file is closed')
    running += 1
    try {
      return await step()
    } finally {
      running -= 1
      if (running === 0) idle?.()
    }
  }
  const close = async (): Promise<void> => {
    if (running > 0) await new Promise<void>((resolve) => (idle = resolve))
    await handle.close()
  }

  return {
    run,
    close: (): Promise<void> => (closed ??= close()),
    read: (offset: number, target: Uint8Array): Promise<void> =>
      run(async () => {
        for (let done = 0; done < target.length;) {
          const count = await readPart(handle.fd, target, done, offset + done)
          if (count === 0) {
            const found = `it ends at ${offset + done}, ${target.length} bytes expected at ${offset}`
            throw new AppError('VDI_IO_ERROR', [`Cannot read a file: ${found}`])
          }
          done += count
        }
      }),
    write: (offset: number, source: Uint8Array): Promise<void> =>
      run(async () => {
        for (let done = 0; done < source.length;) {
          done += await writePart(handle.fd, source, done, offset + done)
        }
      }),
  }
}

// fs.read and fs.write with callbacks: half the cost of a FileHandle's methods for each call.
const readPart = (
  fd: number,
  target: Uint8Array,
  start: number,
  position: number,
): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, target, start, target.length - start, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    )
  })

const writePart = (
  fd: number,
  source: Uint8Array,
  start: number,
  position: number,
): Promise<number> =>
  new Promise((resolve, reject) => {
    write(fd, source, start, source.length - start, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    )
  })
