// A layer at rest that is broken: whatever reading it throws becomes a VDI_IO_ERROR that names the
// file. A format blames a broken image on its sender, but a layer at rest has none.

import type { Disk } from '../../disk/disk.ts'
import type { Extent } from '../../disk/extents.ts'
import { readRanges } from '../../disk/read-ranges.ts'
import { AppError, isNodeError, StorageError } from '../../errors.ts'
import type { LayerDisk } from './store.ts'

/**
 * `error`, met while reading the file, as a StorageError; what is none of the file's doing stays as
 * it is.
 */
export const asDamage = (error: unknown, fileName: string): unknown => {
  if (error instanceof StorageError) return error
  const file = `The file ${fileName} in the storage repository`
  if (error instanceof AppError) {
    if (error.code === 'TASK_CANCELLED') return error
    return new StorageError(`${file} is damaged: ${error.message}`, error)
  }
  if (!isNodeError(error) || error.name === 'AbortError') return error
  return new StorageError(`${file} cannot be read: ${error.message}`, error)
}

/**
 * `disk`, read from the file, with what it throws as of `asDamage`. A file of others is first asked
 * whether it has changed.
 */
export const reportDamage = (disk: LayerDisk, fileName: string): LayerDisk => {
  const fail = async (error: unknown): Promise<never> => {
    const damage = asDamage(error, fileName)
    if (damage !== error) await disk.verify?.()
    throw damage
  }
  return {
    ...disk,
    ...(disk.verify && {
      verify: () =>
        disk.verify!().catch((error: unknown) => {
          throw asDamage(error, fileName)
        }),
    }),
    extents: (range) => guardExtents(disk.extents(range), fail),
    read: (offset, target, signal) => disk.read(offset, target, signal).catch(fail),
    readRanges: (ranges, target, signal) => readRanges(disk, ranges, target, signal).catch(fail),
  }
}

/** No generator of its own: that would cost each extent three more turns. */
const guardExtents = (
  extents: ReturnType<Disk['extents']>,
  fail: (error: unknown) => Promise<never>,
): AsyncIterable<Extent> => ({
  [Symbol.asyncIterator]() {
    const iterator = extents[Symbol.asyncIterator]()
    return {
      next: () => iterator.next().catch(fail),
      return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
    }
  },
})
