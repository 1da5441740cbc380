// The refcounts of an image that is written from its beginning to its end, in which compressed
// clusters share clusters of the file: a block of them is held only until the file has grown past
// what it counts.

import assert from 'node:assert/strict'
import { WRITTEN } from '../constants.ts'

const { clusterSize, refcountsInBlock } = WRITTEN

/** Bytes of the file that one block counts. */
const windowSize = refcountsInBlock * clusterSize

interface RefcountWindows {
  /** Counts a use of each cluster that the bytes from `offset` on lie in. */
  use(offset: number, length: number): void
  /**
   * The blocks that are written at `end`, one after the other; the first of them starts there, at a
   * cluster.
   * @param isLast nothing but they will follow: all that are left, those included that count them
   */
  take(end: number, isLast: boolean): readonly Uint8Array[]
  /** Where each block lies that has been taken. */
  readonly offsets: readonly number[]
}

export const createRefcountWindows = (): RefcountWindows => {
  const windows = new Map<number, Uint16Array>()
  const offsets: number[] = []

  const use = (offset: number, length: number): void => {
    const last = Math.floor((offset + length - 1) / clusterSize)
    for (let cluster = Math.floor(offset / clusterSize); cluster <= last; cluster += 1) {
      const window = Math.floor(cluster / refcountsInBlock)
      let counts = windows.get(window)
      if (counts === undefined) windows.set(window, (counts = new Uint16Array(refcountsInBlock)))
      const index = cluster % refcountsInBlock
      counts[index] = counts[index]! + 1
      // A compressed cluster takes more than a byte.
      assert(counts[index] > 0, `Cluster ${cluster} is used too often`)
    }
  }

  return {
    use,
    offsets,
    take(end, isLast) {
      let count = Math.max(0, Math.floor(end / windowSize) - offsets.length)
      if (isLast) {
        // Each block may make one more necessary; it grows by less and less, and ends.
        for (;;) {
          const all = Math.ceil((end + count * clusterSize) / windowSize)
          if (all - offsets.length === count) break
          count = all - offsets.length
        }
      }
      if (count > 0) use(end, count * clusterSize)
      return Array.from({ length: count }, (_, index) => {
        const window = offsets.length
        const counts = windows.get(window)
        assert(counts !== undefined, `No refcounts of block ${window}`)
        offsets.push(end + index * clusterSize)
        windows.delete(window)
        return bigEndian(counts)
      })
    },
  }
}

const bigEndian = (counts: Uint16Array): Uint8Array => {
  const bytes = new Uint8Array(counts.length * 2)
  const view = new DataView(bytes.buffer)
  for (const [index, count] of counts.entries()) if (count > 0) view.setUint16(index * 2, count)
  return bytes
}
