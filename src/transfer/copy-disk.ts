// Takes what a disk holds to a writer: data in pieces, zeros as they are, nothing of the holes.

import { copyWrites } from '../disk/copy-writes.ts'
import type { Disk, DiskWrite, DiskWriter } from '../disk/disk.ts'
import { throwIfAborted } from '../disk/disk.ts'
import { createBufferPool } from '../image/buffer-pool.ts'
import { MiB } from '../units.ts'
import type { Turn } from './turns.ts'
import type { TaskHandle } from './with-task.ts'

/** Bytes read at a time, and how many such pieces may be on their way to the storage. */
const pieceSize = MiB
const pieceCount = 6

interface CopyDiskOptions {
  readonly signal: AbortSignal
  /** Has a place; others have their turn between two pieces. */
  readonly turn: Turn
  /** Called with the number of bytes of data that have been stored. */
  readonly onProgress: (bytes: number) => void
}

/** @throws AppError TASK_CANCELLED, and whatever reading or writing throws */
export const copyDisk = async (
  source: Disk,
  writer: DiskWriter,
  options: CopyDiskOptions,
): Promise<void> => {
  const { signal } = options
  await copyWrites(writesOf(source, options), writer, { signal })
  throwIfAborted(signal)
}

async function* writesOf(
  source: Disk,
  { signal, turn, onProgress }: CopyDiskOptions,
): AsyncGenerator<DiskWrite, void, undefined> {
  const buffers = createBufferPool(pieceCount, pieceSize)
  try {
    for await (const { kind, offset, length } of source.extents()) {
      if (kind === 'zero') yield { kind, offset, length }
      if (kind !== 'data') continue
      for (let at = offset; at < offset + length;) {
        await turn.step(Math.min(pieceSize, offset + length - at), signal)
        const piece = await buffers.take(signal)
        const bytes = piece.bytes.subarray(0, Math.min(pieceSize, offset + length - at))
        await source.read(at, bytes, signal)
        const release = (): void => {
          onProgress(bytes.length)
          piece.release()
        }
        yield { kind: 'data', offset: at, bytes, release }
        at += bytes.length
      }
    }
  } finally {
    buffers.close()
  }
}

/** How many bytes a copy of the disk reads. */
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
