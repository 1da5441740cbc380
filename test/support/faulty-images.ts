// Images that are cut, damaged or lie, read in both ways, and what is said of them.

import { expect } from 'vitest'
import type { ImageFormat } from '../../src/formats/format.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { spoolOn } from '../../src/image/spool.ts'
import { KiB } from '../../src/units.ts'
import { cutInChunks } from './disks.ts'

const pieceSize = 50_000

/**
 * Reads `bytes` as a stream; where the last write ends. Each write must be whole sectors of the
 * disk.
 */
export const decodeFaulty = async (
  format: ImageFormat,
  bytes: Uint8Array,
  streamLength?: number,
): Promise<number> => {
  const decoded = await format.decode(createForwardReader(cutInChunks(bytes, [7777])), {
    buffers: createBufferPool(2, 64 * KiB),
    openSpool: async () => spoolOn(createMemoryImage()),
    ...(streamLength === undefined ? {} : { streamLength }),
  })
  let end = 0
  for await (const write of decoded.writes()) {
    const length = write.kind === 'data' ? write.bytes.length : write.length
    expect(write.offset % 512 === 0 && length % 512 === 0 && length > 0).toBe(true)
    expect(write.offset + length).toBeLessThanOrEqual(decoded.virtualSize)
    end = Math.max(end, write.offset + length)
    if (write.kind === 'data') write.release?.()
  }
  return end
}

/** Reads all that `bytes` hold at rest; where the last data or zeros end. */
export const openFaulty = async (format: ImageFormat, bytes: Uint8Array): Promise<number> => {
  const disk = await format.open(createMemoryImage(bytes))
  let end = 0
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind === 'hole') continue
    end = offset + length
    for (let done = 0; kind === 'data' && done < length; done += pieceSize) {
      await disk.read(offset + done, new Uint8Array(Math.min(length - done, pieceSize)))
    }
  }
  return end
}

/** As people read it. */
export const expectRefused = async (
  attempts: readonly Promise<unknown>[],
  message: string | RegExp,
): Promise<void> => {
  for (const outcome of await Promise.allSettled(attempts)) {
    const error: unknown = outcome.status === 'rejected' ? outcome.reason : 'it was taken'
    expect(error).toMatchObject({ code: 'IMPORT_ERROR_GENERIC' })
    if (typeof message === 'string') expect(String(error)).toContain(message)
    else expect(String(error)).toMatch(message)
  }
}
