// Steps on the L2 tables of a layer that is being written: where a guest cluster's entry is, giving
// clusters their places, marking them as zeros. Synchronous, see layer-tables.ts.

import { TABLE_ENTRY_SIZE, WRITTEN } from '../constants.ts'
import { markZero, readOwnEntry, writeEntries } from '../tables.ts'

const { clusterSize, tableEntries } = WRITTEN

/** Guest clusters `from` up to, not including, `to`. */
export interface ClusterRange {
  readonly from: number
  readonly to: number
}

/** Clusters of one L2 table. */
interface TablePart extends ClusterRange {
  /** Number of the table. */
  readonly table: number
}

/** Guest clusters that follow each other in the file too, from `imageOffset` on. */
interface PlacedRun {
  readonly cluster: number
  readonly count: number
  readonly imageOffset: number
}

/** The range, cut where one table ends and the next begins. */
export function* partsByTable({ from, to }: ClusterRange): Generator<TablePart> {
  for (let cluster = from; cluster < to;) {
    const table = Math.floor(cluster / tableEntries)
    const end = Math.min(to, (table + 1) * tableEntries)
    yield { table, from: cluster, to: end }
    cluster = end
  }
}

/** Byte of a table at which the entry of `cluster` begins. */
const entryAt = (cluster: number): number => (cluster % tableEntries) * TABLE_ENTRY_SIZE

/** What the table says of `cluster`. */
export const entryOf = (view: DataView, cluster: number): ReturnType<typeof readOwnEntry> =>
  readOwnEntry(view, entryAt(cluster))

/**
 * Gives each cluster a place in the file, the one it has if it has one, and takes its zero flag
 * away.
 * @param allocate gives `count` clusters that follow each other; where the first one lies
 */
export const placeClusters = (
  view: DataView,
  { from, to }: ClusterRange,
  allocate: (count: number) => number,
): PlacedRun[] => {
  const runs: PlacedRun[] = []
  for (let cluster = from; cluster < to;) {
    const count = countAlike(view, cluster, to)
    const { imageOffset: present } = entryOf(view, cluster)
    const imageOffset = present > 0 ? present : allocate(count)
    writeEntries(view, entryAt(cluster), imageOffset, count, clusterSize)
    runs.push({ cluster, count, imageOffset })
    cluster += count
  }
  return runs
}

/** The number of clusters from `cluster` on that are contiguous in the file, or unallocated. */
const countAlike = (view: DataView, cluster: number, to: number): number => {
  const first = entryOf(view, cluster).imageOffset
  const step = first > 0 ? clusterSize : 0
  let count = 1
  while (
    cluster + count < to &&
    entryOf(view, cluster + count).imageOffset === first + count * step
  ) {
    count += 1
  }
  return count
}

/** Marks those clusters as zeros whose place in the file (0: none) is `wanted`. */
export const markClusters = (
  view: DataView,
  { from, to }: ClusterRange,
  wanted: (imageOffset: number) => boolean,
): void => {
  for (let cluster = from; cluster < to; cluster += 1) {
    if (wanted(entryOf(view, cluster).imageOffset)) markZero(view, entryAt(cluster))
  }
}
