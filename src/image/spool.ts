// A place for bytes that an upload brings before their meaning is known: appended, read back, gone
// with the transfer or with the process, whichever ends first.

import { unlink } from 'node:fs/promises'
import { createFileImage } from './file-image.ts'
import type { WritableImage } from './image.ts'

export interface Spool {
  /** Keeps a copy of `source`; the offset to read it back from. Appends are made one after the other. */
  append(source: Uint8Array, signal?: AbortSignal): Promise<number>
  /** Fills `target` with bytes kept from `offset` on. */
  read(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>
  /** Forgets all. Idempotent. */
  close(): Promise<void>
}

/** A spool in a new file at `path`, whose name is removed at once, so that no crash leaves it behind. */
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
    read: (offset, target, signal) => file.read(offset, target, signal),
    close: () => file.close(),
  }
}
