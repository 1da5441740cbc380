// Copies what a disk holds to a writer, as a part of a transfer: in its turns, until its signal.

import type { CopySource } from '../disk/copy-extents.ts'
import { copyExtents } from '../disk/copy-extents.ts'
import type { Disk, DiskWriter } from '../disk/disk.ts'
import { skipZeros } from '../disk/skip-zeros.ts'
import { createBufferPool } from '../image/buffer-pool.ts'
import { MiB } from '../units.ts'
import type { Transfer } from './transfers.ts'
import type { TaskHandle } from './with-task.ts'

/** Bytes read at a time, and how many such pieces may be under way. */
const pieceSize = MiB
const pieceCount = 6

/** The part of a transfer that long work needs: what ends it, and its turns. */
export type Work = Pick<Transfer, 'signal' | 'turn'>

/**
 * Data in pieces without their zeros, zeros as they are, nothing of the holes.
 * @param onProgress called with the number of bytes of data that have been stored
 * @throws AppError TASK_CANCELLED, and whatever reading or writing throws
 */
export const copyDisk = async (
  source: CopySource,
  writer: DiskWriter,
  { signal, turn }: Work,
  onProgress: (bytes: number) => void = () => {},
): Promise<void> => {
  const buffers = createBufferPool(pieceCount, pieceSize)
  try {
    await copyExtents(source, skipZeros(writer), {
      buffers,
      signal,
      beforePiece: (bytes) => turn.step(bytes, signal),
      onProgress,
    })
  } finally {
    buffers.close()
  }
}

/** Bytes that a copy of the disk reads. */
export const countData = async (disk: Disk): Promise<number> => {
  let bytes = 0
  for await (const { kind, length } of disk.extents()) if (kind === 'data') bytes += length
  return bytes
}

/** Adds up what is done of `total`, for the task of a copy. */
export const progressOf = (total: number, task: TaskHandle): ((bytes: number) => void) => {
  let done = 0
  return (bytes) => {
    done += bytes
    task.report(done / total)
  }
}
