// A disk that is opened when somebody first needs it: for what is probably never read.

import type { Disk } from './disk.ts'
import { readRanges } from './read-ranges.ts'

/** @param open called once at most; the deferred disk owns what it gives */
export const createDeferredDisk = (size: number, open: () => Promise<Disk>): Disk => {
  let opening: Promise<Disk> | undefined
  const opened = (): Promise<Disk> => (opening ??= open())
  return {
    size,
    async *extents(range) {
      yield* (await opened()).extents(range)
    },
    async read(offset, target, signal) {
      await (await opened()).read(offset, target, signal)
    },
    async readRanges(ranges, target, signal) {
      await readRanges(await opened(), ranges, target, signal)
    },
    async close() {
      // What could not be opened need not be closed; whoever needed it has been told.
      const disk = await opening?.catch(() => undefined)
      await disk?.close()
    },
  }
}
