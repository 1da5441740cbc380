// A place for bytes that an upload brings before their meaning is known: appended, read back, gone
// with the transfer or with the process, whichever ends first.

import { unlink } from 'node:fs/promises'
import { rangeWithin } from '../disk/disk.ts'
import { createFileImage } from './file-image.ts'
import type { WritableImage } from './image.ts'

export interface Spool {
  /**
   * Keeps a copy of `source`; the offset to read it back from. Appends are made one after the
   * other.
   */
  append(source: Uint8Array, signal?: AbortSignal): Promise<number>
  /** Keeps `length` zeros, which take no room; the offset to read them back from. */
  appendZeros(length: number): number
  /** Fills `target` with bytes kept from `offset` on. */
  read(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>
  /** Forgets all. Idempotent. */
  close(): Promise<void>
}

/**
 * A spool in a new file at `path`, whose name is removed at once, so that no crash leaves it
 * behind.
 */
export const openFileSpool = async (path: string): Promise<Spool> => {
  const file = await createFileImage(path)
  await unlink(path)
  return spoolOn(file)
}

export const spoolOn = (file: WritableImage): Spool => {
  let end = file.size
  return {
    async append(source, signal) {
      const offset = end
      end += source.length
      await file.write(offset, source, signal)
      return offset
    },
    appendZeros(length) {
      const offset = end
      end += length
      return offset
    },
    async read(offset, target, signal) {
      rangeWithin(end, { offset, length: target.length })
      // Zeros at the end are in no file.
      const stored = Math.max(0, Math.min(target.length, file.size - offset))
      if (stored > 0) await file.read(offset, target.subarray(0, stored), signal)
      target.fill(0, stored)
    },
    close: () => file.close(),
  }
}
