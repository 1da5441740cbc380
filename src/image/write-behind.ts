// Starts the storage on what has been written, while more comes: fsync at the end then waits for
// the last megabytes only. Promises nothing about durability; fsync does. Linux has a call for it.

import koffi from 'koffi'
import { MiB } from '../units.ts'

/**
 * Written bytes between two starts: enough for a long sequential write, little beside what a disk
 * caches.
 */
const stride = 16 * MiB

/** From `linux/fs.h`: begin to write the dirty pages of the range, wait for nothing. */
const SYNC_FILE_RANGE_WRITE = 2

type StartWriting = (fd: number, done: () => void) => void

const load = (): StartWriting | undefined => {
  if (process.platform !== 'linux') return undefined
  try {
    const call = koffi
      .load(null)
      .func('int sync_file_range(int fd, int64_t offset, int64_t nbytes, unsigned int flags)')
    // Length 0: to the end of the file. In a thread of the pool: a full queue of the disk makes it
    // wait.
    return (fd, done) => void call.async(fd, 0, 0, SYNC_FILE_RANGE_WRITE, done)
  } catch {
    return undefined
  }
}

const startWriting = load()

interface WriteBehind {
  /** Tells of bytes that have been written to the file. */
  wrote(length: number): void
}

/** @param run runs work on the open file; the file is not closed before it has ended */
export const createWriteBehind = (
  fd: number,
  run: (work: () => Promise<void>) => Promise<void>,
): WriteBehind => {
  let waiting = 0
  let isRunning = false
  return {
    wrote(length) {
      waiting += length
      if (waiting < stride || isRunning || startWriting === undefined) return
      waiting = 0
      isRunning = true
      // What fails here fails in fsync too, and is told there. A file that is being closed needs it
      // no more.
      run(() => new Promise((resolve) => startWriting(fd, () => resolve()))).then(
        () => (isRunning = false),
        () => {},
      )
    },
  }
}
