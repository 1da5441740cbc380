// L2 tables of an image at rest, read when they are needed and kept while there is room.

import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'

/** Bytes of tables that are kept: 8 GiB of guest for each MiB at 64 KiB clusters. */
const capacity = 4 * MiB

export interface L2Cache {
  /** The table with this number, which lies at `imageOffset`. Readers of one table share one read. */
  get(table: number, imageOffset: number): Promise<DataView>
}

/**
 * Reads tables one after the other into one buffer, for a look at all of them: each is valid until the
 * next is asked for. As garbage, the tables of a large disk would take more memory than the cache.
 */
export const createL2Scan = (image: Image, tableSize: number): L2Cache['get'] => {
  let bytes: Uint8Array | undefined
  return async (_table, imageOffset) => {
    bytes ??= Buffer.allocUnsafeSlow(tableSize)
    await image.read(imageOffset, bytes)
    return viewOf(bytes)
  }
}

/** @param tableSize bytes in a table, that is in a cluster */
export const createL2Cache = (image: Image, tableSize: number): L2Cache => {
  const maximum = capacity / tableSize
  // In the order of last use: the first is the one to go.
  const tables = new Map<number, Promise<DataView>>()

  const load = async (imageOffset: number): Promise<DataView> => {
    // No signal: others may wait for this read when the one that asked first is gone.
    const bytes = Buffer.allocUnsafeSlow(tableSize)
    await image.read(imageOffset, bytes)
    return viewOf(bytes)
  }
  return {
    get(table, imageOffset) {
      const known = tables.get(table)
      if (known !== undefined) {
        tables.delete(table)
        tables.set(table, known)
        return known
      }
      const loading = load(imageOffset)
      tables.set(table, loading)
      loading.catch(() => {
        if (tables.get(table) === loading) tables.delete(table)
      })
      for (const oldest of tables.keys()) {
        if (tables.size <= maximum) break
        tables.delete(oldest)
      }
      return loading
    },
  }
}
