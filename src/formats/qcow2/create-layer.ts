// A QCOW2 layer at rest, written in any order. Data clusters go to the end of the file as they
// come, and each L2 table just before the first data it names, so that a stream of the file needs
// no spool.
//
//   header │ refcount table │ L1 │ L2 tables and data as they came │ refcount blocks
//
// A cluster of the file is never given up: one whose content is zeroed keeps it, under the zero
// flag. So each cluster is used exactly once, and its refcount is 1, in whatever order the layer
// was written.

import { rangeWithin } from '../../disk/disk.ts'
import { formatTable } from '../../format-table.ts'
import { viewOf } from '../../image/binary.ts'
import type { WritableImage } from '../../image/image.ts'
import { MAXIMUM_DISK_SIZE, MiB, SECTOR_SIZE, unitsFor } from '../../units.ts'
import type { LayerOptions, LayerWriter } from '../format.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import { buildHeaderCluster } from './header/build-header.ts'
import { TABLE_ENTRY_SIZE, WRITTEN } from './constants.ts'
import { createLayerClusters } from './layer/layer-clusters.ts'
import { LayerTables } from './layer/layer-tables.ts'
import type { RefcountLayout } from './refcounts.ts'
import { fillRefcounts, layoutRefcounts, writeRefcountTable } from './refcounts.ts'
import { writeEntries } from './tables.ts'
import { vdiTooLarge } from '../../object-errors.ts'

const { clusterSize, tableEntries } = WRITTEN
const what = 'Cannot create a qcow2 layer'

/**
 * See ImageFormat.createLayer. Memory: 8 MiB of L2 tables, and 8 bytes for each that the disk may
 * have (256 KiB for 16 TiB).
 */
export const createQcow2Layer = async (
  file: WritableImage,
  options: LayerOptions,
): Promise<LayerWriter> => {
  const { size, uuid, parent, keepsZeros = false } = options
  if (size > MAXIMUM_DISK_SIZE) {
    throw vdiTooLarge(uuid, MAXIMUM_DISK_SIZE)
  }
  requireVirtualSize(what, size, MAXIMUM_DISK_SIZE)

  const places = layOut(size)
  let nextCluster = places.firstFree
  const allocate = (count: number): number => {
    const offset = nextCluster * clusterSize
    nextCluster += count
    return offset
  }
  const tables = new LayerTables(file, places.l1Entries, () => allocate(1))
  const clusters = createLayerClusters({
    file,
    tables,
    allocate,
    size,
    parent: parent?.disk,
    keepsZeros,
  })
  const backing = parent && {
    name: parent.fileName,
    format: formatTable[parent.format].qemuName ?? parent.format,
  }

  let failure: { readonly reason: unknown } | undefined
  let isSealed = false
  const step = async (offset: number, length: number, work: () => Promise<void>): Promise<void> => {
    if (isSealed) throw new Error('The layer is sealed')
    if (offset % SECTOR_SIZE !== 0 || length % SECTOR_SIZE !== 0) {
      throw new RangeError(`Write of ${length} bytes at ${offset} is not in whole sectors`)
    }
    rangeWithin(size, { offset, length })
    try {
      await work()
    } catch (error) {
      failure ??= { reason: error }
      throw error
    }
  }
  return {
    size,
    write: (offset, source, signal) =>
      step(offset, source.length, () => clusters.write(offset, source, signal)),
    zero: (offset, length, signal) =>
      step(offset, length, () => clusters.zero(offset, length, signal)),
    async seal(endSize = size) {
      // A write that failed may have left a cluster without its content.
      if (failure !== undefined) throw failure.reason
      isSealed = true
      await tables.flush()
      const refcounts = layoutRefcounts(nextCluster - places.tableClusters, places.tableClusters)
      await writeRefcounts(file, refcounts, nextCluster * clusterSize)
      await file.write(places.l1Offset, l1Bytes(tables.offsets, places.l1Clusters))
      const header = buildHeaderCluster({
        virtualSize: endSize,
        l1Entries: places.l1Entries,
        l1Offset: places.l1Offset,
        refcountTableOffset: clusterSize,
        refcountTableClusters: places.tableClusters,
        ...(backing === undefined ? {} : { backing }),
      })
      await file.write(0, header)
    },
  }
}

/** What stands before the first cluster that comes. The refcount table has room for a full disk. */
const layOut = (size: number) => {
  const clusterCount = unitsFor(size, clusterSize)
  const l1Entries = unitsFor(clusterCount, tableEntries)
  const l1Clusters = unitsFor(l1Entries, tableEntries)
  const { tableClusters } = layoutRefcounts(1 + l1Clusters + l1Entries + clusterCount)
  return {
    l1Entries,
    l1Clusters,
    tableClusters,
    l1Offset: clusterSize * (1 + tableClusters),
    firstFree: 1 + tableClusters + l1Clusters,
  }
}

const l1Bytes = (offsets: Readonly<Float64Array>, l1Clusters: number): Uint8Array => {
  const bytes = new Uint8Array(l1Clusters * clusterSize)
  const view = viewOf(bytes)
  for (const [table, offset] of offsets.entries()) {
    if (offset > 0) writeEntries(view, table * TABLE_ENTRY_SIZE, offset, 1, clusterSize)
  }
  return bytes
}

/**
 * The blocks from `blocksOffset` on, a few at a time, then the table. The file ends with the last
 * block.
 */
const writeRefcounts = async (
  file: WritableImage,
  layout: RefcountLayout,
  blocksOffset: number,
): Promise<void> => {
  const length = layout.blocks * clusterSize
  const piece = new Uint8Array(Math.min(MiB, length))
  for (let done = 0; done < length; done += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, length - done))
    fillRefcounts(done, bytes, layout)
    await file.write(blocksOffset + done, bytes)
  }
  const table = new Uint8Array(layout.tableClusters * clusterSize)
  writeRefcountTable(viewOf(table), 0, layout.blocks, layout, blocksOffset)
  await file.write(clusterSize, table)
}
