// Disk → Image for QCOW2, in the order that readers of streams need. Every byte is computed when it
// is asked for; what is held are runs of clusters.
//
//   header │ refcount table │ refcount blocks │ L1 │ all L2 tables │ data clusters ascending
//
// Each part starts at a cluster of 64 KiB and fills whole ones; each cluster is used exactly once.

import type { Disk } from '../../disk/disk.ts'
import type { ByteRange } from '../../disk/extents.ts'
import { readRanges } from '../../disk/read-ranges.ts'
import { groupUnitRuns } from '../../disk/unit-runs.ts'
import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import type { Region } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import { alignDown, alignUp, MAXIMUM_DISK_SIZE, unitsFor } from '../../units.ts'
import type { ImageIdentity, PlanOptions } from '../format.ts'
import { buildHeaderCluster } from './header/build-header.ts'
import type { ChosenClusters } from './choose-clusters.ts'
import { chooseClusters } from './choose-clusters.ts'
import { TABLE_ENTRY_SIZE, WRITTEN } from './constants.ts'
import { fillRefcounts, layoutRefcounts, writeRefcountTable } from './refcounts.ts'
import { markZero, writeEntries } from './tables.ts'
import { vdiTooLarge } from '../../object-errors.ts'

const { clusterSize, tableEntries } = WRITTEN

/** See ImageFormat.plan. A compact delta names its base, and says that it is a qcow2 image too. */
export const planQcow2 = async (
  disk: Disk,
  identity: ImageIdentity,
  options: PlanOptions = {},
): Promise<Image> => {
  if (disk.size > MAXIMUM_DISK_SIZE) {
    throw vdiTooLarge(identity.uuid, MAXIMUM_DISK_SIZE)
  }
  const { clusters, backing } = await chooseClusters(disk, identity, options)
  return layOut(disk, clusters, backing)
}

const layOut = (disk: Disk, clusters: ChosenClusters, backingName: string | undefined): Image => {
  const tables = groupUnitRuns(clusters.all, tableEntries)
  const l1Entries = unitsFor(disk.size, clusterSize * tableEntries)
  const l1Clusters = unitsFor(l1Entries, tableEntries)
  const refcounts = layoutRefcounts(1 + l1Clusters + tables.count + clusters.data.count)

  const blocksOffset = clusterSize * (1 + refcounts.tableClusters)
  const l1Offset = blocksOffset + clusterSize * refcounts.blocks
  const tablesOffset = l1Offset + clusterSize * l1Clusters
  const dataOffset = tablesOffset + clusterSize * tables.count

  const header = buildHeaderCluster({
    virtualSize: disk.size,
    l1Entries,
    l1Offset,
    refcountTableOffset: clusterSize,
    refcountTableClusters: refcounts.tableClusters,
    ...(backingName === undefined ? {} : { backing: { name: backingName, format: 'qcow2' } }),
  })
  const refcountTable = tableRegion(refcounts.tableClusters, (view, from, to) =>
    writeRefcountTable(view, from, to, refcounts, blocksOffset),
  )
  const refcountBlocks: Region = {
    length: clusterSize * refcounts.blocks,
    fill: (offset, target) => fillRefcounts(offset, target, refcounts),
  }
  const l1 = tableRegion(l1Clusters, (view, from, to) => {
    for (const { unit, length, rank } of tables.between(from, to)) {
      const at = (unit - from) * TABLE_ENTRY_SIZE
      writeEntries(view, at, tablesOffset + rank * clusterSize, length, clusterSize)
    }
  })
  const l2 = tableRegion(tables.count, (view, from, to) => {
    for (let entry = from; entry < to;) {
      // Tables that follow each other in the guest follow each other here: their entries are one
      // run.
      const table = tables.runAt(Math.floor(entry / tableEntries))
      const cluster = table.unit * tableEntries + (entry % tableEntries)
      const count = Math.min(to - entry, (table.unit + table.length) * tableEntries - cluster)
      writeL2Entries(view, (entry - from) * TABLE_ENTRY_SIZE, cluster, count, clusters, dataOffset)
      entry += count
    }
  })
  const regions = [
    bytesRegion(header),
    refcountTable,
    refcountBlocks,
    l1,
    l2,
    dataRegion(disk, clusters),
  ]
  return createLayoutImage(regions, () => disk.close())
}

/** Writes `count` entries, the first for `cluster`, from byte `at` on. */
const writeL2Entries = (
  view: DataView,
  at: number,
  cluster: number,
  count: number,
  { data, zero }: ChosenClusters,
  dataOffset: number,
): void => {
  for (const { unit, length, rank } of data.between(cluster, cluster + count)) {
    const entryAt = at + (unit - cluster) * TABLE_ENTRY_SIZE
    writeEntries(view, entryAt, dataOffset + rank * clusterSize, length, clusterSize)
  }
  for (const { unit, length } of zero.between(cluster, cluster + count)) {
    for (let index = 0; index < length; index += 1) {
      markZero(view, at + (unit + index - cluster) * TABLE_ENTRY_SIZE)
    }
  }
}

/** `clusters` full of entries. `write` puts entries `from` up to `to` into a view of zeros. */
const tableRegion = (
  clusters: number,
  write: (view: DataView, from: number, to: number) => void,
): Region => ({
  length: clusters * clusterSize,
  fill: (offset, target) => {
    const start = alignDown(offset, TABLE_ENTRY_SIZE)
    const end = alignUp(offset + target.length, TABLE_ENTRY_SIZE)
    const whole = end - start === target.length
    const entries = whole ? target.fill(0) : new Uint8Array(end - start)
    write(viewOf(entries), start / TABLE_ENTRY_SIZE, end / TABLE_ENTRY_SIZE)
    if (!whole) target.set(entries.subarray(offset - start, offset - start + target.length))
  },
})

/** The content of the clusters that have some; after the end of the disk, zeros. */
const dataRegion = (disk: Disk, { data }: ChosenClusters): Region => ({
  length: data.count * clusterSize,
  async fill(offset, target, signal) {
    const ranges: ByteRange[] = []
    let held = 0
    for (let done = 0; done < target.length;) {
      const inside = (offset + done) % clusterSize
      const run = data.runAt((offset + done - inside) / clusterSize)
      const diskOffset = run.unit * clusterSize + inside
      const length = Math.min(target.length - done, run.length * clusterSize - inside)
      // Only the last cluster of all may end after the disk does.
      const present = Math.max(0, Math.min(length, disk.size - diskOffset))
      if (present > 0) ranges.push({ offset: diskOffset, length: present })
      held += present
      done += length
    }
    target.fill(0, held)
    if (held > 0) await readRanges(disk, ranges, target.subarray(0, held), signal)
  },
})
