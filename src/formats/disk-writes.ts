// A disk that can be read anywhere, as the writes of a decoder: for images that had to be kept
// whole.

import type { Disk, DiskWrite } from '../disk/disk.ts'
import { alignDown, SECTOR_SIZE } from '../units.ts'
import type { DecodeContext } from './format.ts'

/** Data and zeros, ascending; nothing for holes. Leaves the disk open. */
export async function* writesOf(
  disk: Disk,
  { buffers, signal }: Pick<DecodeContext, 'buffers' | 'signal'>,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  for await (const { offset, length, kind } of disk.extents()) {
    if (kind === 'zero') yield { kind, offset, length }
    if (kind !== 'data') continue
    for (let inside = 0; inside < length; inside += pieceSize) {
      const { bytes, release } = await buffers.take(signal)
      const piece = bytes.subarray(0, Math.min(pieceSize, length - inside))
      await disk.read(offset + inside, piece, signal).catch((error: unknown) => {
        release()
        throw error
      })
      yield { kind: 'data', offset: offset + inside, bytes: piece, release }
    }
  }
}
