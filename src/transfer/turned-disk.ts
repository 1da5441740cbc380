// A disk whose reads take turns with other transfers, and are counted: what an encoder reads, which
// knows neither. Closing it twice is harmless.

import type { Disk } from '../disk/disk.ts'
import type { Turn } from './turns.ts'

/**
 * @param onRead called with the number of bytes that have been read
 */
export const createTurnedDisk = (disk: Disk, turn: Turn, onRead: (bytes: number) => void): Disk => {
  /** Of the reads that came while others had their turn. */
  let others: Promise<void> | undefined
  return {
    size: disk.size,
    extents: (range) => disk.extents(range),
    async read(offset, target, signal) {
      others ??= turn.step(target.length, signal)?.finally(() => (others = undefined))
      if (others !== undefined) await others
      await disk.read(offset, target, signal)
      onRead(target.length)
    },
    close: () => disk.close(),
  }
}

/** Bytes of the disk that hold data. */
export const measureData = async (disk: Disk): Promise<number> => {
  let bytes = 0
  for await (const { kind, length } of disk.extents()) if (kind === 'data') bytes += length
  return bytes
}
