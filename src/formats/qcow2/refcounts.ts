// The refcounts of an image in which every cluster is used exactly once: how much room they take,
// and their bytes. Used by plan and by layers at rest; never read back.

import { writeUint64 } from '../../image/binary.ts'
import { unitsFor } from '../../units.ts'
import { TABLE_ENTRY_SIZE, WRITTEN } from './constants.ts'

export interface RefcountLayout {
  /** Clusters of the refcount table. */
  readonly tableClusters: number
  /** Refcount blocks, a cluster each. */
  readonly blocks: number
  /** All clusters of the image, those of the refcounts included. */
  readonly totalClusters: number
}

/**
 * The least that counts `otherClusters`, the blocks and the table itself.
 * @param tableClusters how large the table is at least
 */
export const layoutRefcounts = (otherClusters: number, tableClusters = 1): RefcountLayout => {
  let layout: RefcountLayout = { tableClusters, blocks: 0, totalClusters: 0 }
  // Each round adds what the one before made necessary; it grows by less and less, and ends.
  for (;;) {
    const totalClusters = otherClusters + layout.blocks + layout.tableClusters
    if (totalClusters === layout.totalClusters) return layout
    const blocks = unitsFor(totalClusters, WRITTEN.refcountsInBlock)
    const needed = unitsFor(blocks, WRITTEN.tableEntries)
    layout = { tableClusters: Math.max(tableClusters, needed), blocks, totalClusters }
  }
}

/**
 * Writes entries `from` up to `to` of the refcount table into a zeroed `view`; the blocks follow
 * each other.
 */
export const writeRefcountTable = (
  view: DataView,
  from: number,
  to: number,
  { blocks }: RefcountLayout,
  blocksOffset: number,
): void => {
  for (let block = from; block < Math.min(to, blocks); block += 1) {
    writeUint64(view, (block - from) * TABLE_ENTRY_SIZE, blocksOffset + block * WRITTEN.clusterSize)
  }
}

/** One refcount of 1, 16 bits big-endian, as it begins at an even and at an odd byte. */
const ones = [Buffer.from([0, 1]), Buffer.from([1, 0])] as const

/**
 * Fills `target` with the refcount blocks' bytes from `offset` on: 1 for each cluster there is,
 * then 0.
 */
export const fillRefcounts = (
  offset: number,
  target: Uint8Array,
  { totalClusters }: RefcountLayout,
): void => {
  const end = Math.max(0, Math.min(target.length, totalClusters * 2 - offset))
  const bytes = Buffer.from(target.buffer, target.byteOffset, target.length)
  bytes.fill(ones[offset % 2 === 0 ? 0 : 1], 0, end)
  bytes.fill(0, end)
}
