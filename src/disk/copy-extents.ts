// The one loop that copies what a disk holds: data in pieces, zeros as zeros, holes not at all.
// Merges of layers and copies of disks call it. It looks at no byte: skip-zeros.ts does that, where
// it is wanted.

import { alignDown } from '../units.ts'
import type { Disk, DiskWriter } from './disk.ts'
import { throwIfAborted } from './disk.ts'
import type { ByteRange, Extent } from './extents.ts'

/** What is copied: a disk, or some of its extents. */
export interface CopySource extends Pick<Disk, 'read'> {
  /** Ascending; no byte belongs to two of them. */
  extents(): AsyncIterable<Extent>
}

/**
 * Buffers that are lent and come back, as those of a pool; their number bounds the pieces under
 * way.
 */
interface PieceBuffers {
  /** Bytes in each buffer, and so in a piece at most. */
  readonly bufferSize: number
  /** Waits until a buffer is free. @throws the reason of `signal` */
  take(signal: AbortSignal): Promise<{ readonly bytes: Uint8Array; readonly release: () => void }>
}

interface CopyExtentsOptions {
  readonly buffers: PieceBuffers
  /** Ends the copy: no piece is read after it. */
  readonly signal: AbortSignal
  /** Waited for before each piece of data is moved. */
  readonly beforePiece: (bytes: number) => Promise<void> | undefined
  /** Called with the number of bytes of data that have been stored. */
  readonly onProgress?: (bytes: number) => void
}

/**
 * Throws the first failure after what is under way has ended, so that both may be closed either
 * way.
 * @throws the reason of `signal`, and whatever reading or writing throws
 */
export const copyExtents = async (
  source: CopySource,
  writer: DiskWriter,
  { buffers, signal, beforePiece, onProgress }: CopyExtentsOptions,
): Promise<void> => {
  const running = new Set<Promise<void>>()
  let failure: { readonly reason: unknown } | undefined
  const move = async ({ offset, length }: ByteRange): Promise<void> => {
    await beforePiece(length)
    const buffer = await buffers.take(signal)
    const store = async (): Promise<void> => {
      try {
        // The buffer may be that of a piece that has failed.
        if (failure !== undefined) return
        const bytes = buffer.bytes.subarray(0, length)
        await source.read(offset, bytes, signal)
        await writer.write(offset, bytes, signal)
        onProgress?.(length)
      } catch (error) {
        failure ??= { reason: error }
      } finally {
        buffer.release()
      }
    }
    const stored = store().finally(() => running.delete(stored))
    running.add(stored)
  }
  const throwIfFailed = (): void => {
    if (failure !== undefined) throw failure.reason
  }
  try {
    for await (const extent of source.extents()) {
      throwIfAborted(signal)
      throwIfFailed()
      if (extent.kind === 'zero') await writer.zero(extent.offset, extent.length, signal)
      if (extent.kind !== 'data') continue
      for (const piece of piecesOf(extent, buffers.bufferSize)) {
        await move(piece)
        throwIfFailed()
      }
    }
  } finally {
    await Promise.all(running)
  }
  throwIfFailed()
  throwIfAborted(signal)
}

/** Cut at multiples of the piece's size, so that no cluster is written in two parts. */
function* piecesOf({ offset, length }: ByteRange, pieceSize: number): Generator<ByteRange> {
  const end = offset + length
  for (let at = offset; at < end;) {
    const stop = Math.min(end, alignDown(at, pieceSize) + pieceSize)
    yield { offset: at, length: stop - at }
    at = stop
  }
}
