// Copies a disk to a writer as it stands: data as data, zeros as zeros, holes not at all. Unlike
// copy-writes.ts it looks at no byte: what the copy tells is what the disk tells.

import { alignDown, MiB } from '../units.ts'
import type { Disk, DiskWriter } from './disk.ts'
import { throwIfAborted } from './disk.ts'
import type { ByteRange } from './extents.ts'
import { settleAll } from './settle.ts'

/** Bytes moved at a time: whole clusters and blocks, where the data has them. */
const pieceSize = MiB

/** Pieces on their way at once. */
const pieceCount = 4

interface CopyExtentsOptions {
  readonly signal: AbortSignal
  /** Waited for before each piece of data is moved. */
  readonly beforePiece: (bytes: number) => Promise<void>
}

/** Throws the first failure after what is under way has ended, so that both may be closed either way. */
export const copyExtents = async (
  disk: Disk,
  writer: DiskWriter,
  { signal, beforePiece }: CopyExtentsOptions,
): Promise<void> => {
  const buffers = Array.from({ length: pieceCount }, () => Buffer.allocUnsafeSlow(pieceSize))
  const running = new Map<Buffer, Promise<void>>()
  const move = async (buffer: Buffer, { offset, length }: ByteRange): Promise<void> => {
    const bytes = buffer.subarray(0, length)
    await disk.read(offset, bytes, signal)
    await writer.write(offset, bytes, signal)
  }
  let next = 0
  try {
    for await (const extent of disk.extents()) {
      throwIfAborted(signal)
      if (extent.kind === 'zero') await writer.zero(extent.offset, extent.length, signal)
      if (extent.kind !== 'data') continue
      for (const piece of piecesOf(extent)) {
        const buffer = buffers[next++ % pieceCount]!
        await running.get(buffer)
        await beforePiece(piece.length)
        const moving = move(buffer, piece)
        // A failure is thrown when the buffer's turn comes again, or at the end.
        moving.catch(() => {})
        running.set(buffer, moving)
      }
    }
  } finally {
    await Promise.allSettled(running.values())
  }
  await settleAll([...running.values()])
}

/** Cut where a multiple of the piece's size is, so that no cluster is written in two parts. */
function* piecesOf({ offset, length }: ByteRange): Generator<ByteRange> {
  const end = offset + length
  for (let at = offset; at < end;) {
    const stop = Math.min(end, alignDown(at, pieceSize) + pieceSize)
    yield { offset: at, length: stop - at }
    at = stop
  }
}
