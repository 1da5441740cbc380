// The clusters of a layer that is being written: where each goes, and what the rest of one that is
// written in part holds (the parent's bytes, or zeros). Writes that share a cluster wait for each
// other.

import { settleAll } from '../../../disk/settle.ts'
import type { Disk } from '../../../disk/disk.ts'
import { isZero } from '../../../disk/zero.ts'
import type { WritableImage } from '../../../image/image.ts'
import { WRITTEN } from '../constants.ts'
import type { ClusterRange } from './layer-entries.ts'
import { entryOf, markClusters, partsByTable, placeClusters } from './layer-entries.ts'
import type { LayerTables } from './layer-tables.ts'

const { clusterSize, tableEntries } = WRITTEN
const zeroCluster = new Uint8Array(clusterSize)

/** A stretch of a cluster. */
interface Part {
  readonly cluster: number
  /** First byte within the cluster, and number of bytes. */
  readonly inside: number
  readonly length: number
}

interface LayerClusters {
  write(offset: number, source: Uint8Array, signal?: AbortSignal): Promise<void>
  zero(offset: number, length: number, signal?: AbortSignal): Promise<void>
}

interface LayerFile {
  readonly file: WritableImage
  readonly tables: LayerTables
  /** Gives `count` clusters at the end of the file; where the first one lies. */
  readonly allocate: (count: number) => number
  /** Of the disk, in bytes. */
  readonly size: number
  readonly parent: Disk | undefined
  /** See LayerOptions. */
  readonly keepsZeros: boolean
}

export const createLayerClusters = ({
  file,
  tables,
  allocate,
  size,
  parent,
  keepsZeros,
}: LayerFile): LayerClusters => {
  const oneAtATime = createLocks()

  /** Whole clusters, and the parts at both ends; the last cluster is whole where the disk ends. */
  const divide = (offset: number, length: number): { whole: ClusterRange; parts: Part[] } => {
    const end = offset + length
    const first = Math.floor(offset / clusterSize)
    const last = Math.floor(end / clusterSize)
    const from = Math.ceil(offset / clusterSize)
    const to = end === size ? Math.ceil(end / clusterSize) : last
    const parts: Part[] = []
    if (first < from) {
      const inside = offset - first * clusterSize
      parts.push({ cluster: first, inside, length: Math.min(length, clusterSize - inside) })
    }
    if (to === last && last >= from && end > last * clusterSize) {
      parts.push({ cluster: last, inside: 0, length: end - last * clusterSize })
    }
    return { whole: { from, to: Math.max(from, to) }, parts }
  }

  const writeWhole = async (
    range: ClusterRange,
    offset: number,
    source: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    for (const part of partsByTable(range)) {
      const runs = await tables.change(part.table, (view) => placeClusters(view, part, allocate))
      await settleAll(
        runs.map(({ cluster, count, imageOffset }) => {
          const start = cluster * clusterSize - offset
          const bytes = source.subarray(start, start + count * clusterSize)
          return file.write(imageOffset, bytes, signal)
        }),
      )
    }
  }

  /** All of a cluster as the guest sees it through the parent. */
  const readParent = async (cluster: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const bytes = new Uint8Array(clusterSize)
    const offset = cluster * clusterSize
    const present = Math.min(clusterSize, (parent?.size ?? 0) - offset)
    if (present > 0) await parent!.read(offset, bytes.subarray(0, present), signal)
    return bytes
  }

  const look = (cluster: number) => tables.look(tableOf(cluster), (view) => entryOf(view, cluster))

  /** Gives the cluster its place, the one it has if it has one, and takes the zero flag away. */
  const place = async (cluster: number): Promise<number> => {
    const [run] = await tables.change(tableOf(cluster), (view) =>
      placeClusters(view, { from: cluster, to: cluster + 1 }, allocate),
    )
    return run!.imageOffset
  }

  const writePart = async (
    { cluster, inside }: Part,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    const entry = await look(cluster)
    const isPlaced = entry !== undefined && entry.imageOffset > 0
    const restIsZero = entry?.isZero === true || parent === undefined
    // In the file, a new cluster is a hole: it needs no zeros. One that was zeroed has old bytes.
    if (isPlaced ? !entry.isZero : restIsZero) {
      await file.write((await place(cluster)) + inside, bytes, signal)
      return
    }
    const whole = restIsZero ? new Uint8Array(clusterSize) : await readParent(cluster, signal)
    whole.set(bytes, inside)
    await file.write(await place(cluster), whole, signal)
  }

  const zeroPart = async (
    { cluster, inside, length }: Part,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    const entry = await look(cluster)
    if (entry?.isZero === true) return
    if (entry !== undefined && entry.imageOffset > 0) {
      await file.write(entry.imageOffset + inside, zeroCluster.subarray(0, length), signal)
      return
    }
    if (parent === undefined && !keepsZeros) return
    const whole = await readParent(cluster, signal)
    const part = whole.subarray(inside, inside + length)
    if (isZero(part) && !keepsZeros) return
    part.fill(0)
    if (isZero(whole)) await mark({ from: cluster, to: cluster + 1 }, () => true)
    else await file.write(await place(cluster), whole, signal)
  }

  const mark = async (
    range: ClusterRange,
    wanted: (imageOffset: number) => boolean,
  ): Promise<void> => {
    for (const part of partsByTable(range)) {
      await tables.change(part.table, (view) => markClusters(view, part, wanted))
    }
  }

  /**
   * What this layer holds is marked; beside that only what the parent has data for, if it has any.
   */
  const zeroWhole = async (range: ClusterRange): Promise<void> => {
    if (keepsZeros) return mark(range, () => true)
    for (const part of partsByTable(range)) {
      if (tables.has(part.table)) await mark(part, (imageOffset) => imageOffset > 0)
    }
    const offset = range.from * clusterSize
    const end = Math.min(range.to * clusterSize, parent?.size ?? 0)
    if (parent === undefined || end <= offset) return
    for await (const extent of parent.extents({ offset, length: end - offset })) {
      if (extent.kind !== 'data') continue
      const from = Math.floor(extent.offset / clusterSize)
      const to = Math.ceil((extent.offset + extent.length) / clusterSize)
      await mark({ from, to }, () => true)
    }
  }

  return {
    async write(offset, source, signal) {
      if (source.length === 0) return
      const { whole, parts } = divide(offset, source.length)
      const steps = parts.map((part) => {
        const start = part.cluster * clusterSize + part.inside - offset
        const bytes = source.subarray(start, start + part.length)
        return oneAtATime(part.cluster, () => writePart(part, bytes, signal))
      })
      await settleAll([...steps, writeWhole(whole, offset, source, signal)])
    },
    async zero(offset, length, signal) {
      if (length === 0) return
      const { whole, parts } = divide(offset, length)
      const steps = parts.map((part) => oneAtATime(part.cluster, () => zeroPart(part, signal)))
      await settleAll([...steps, zeroWhole(whole)])
    },
  }
}

const tableOf = (cluster: number): number => Math.floor(cluster / tableEntries)

/** Runs steps for one cluster one after the other, in the order of their call. */
const createLocks = () => {
  const last = new Map<number, Promise<void>>()
  return async (cluster: number, step: () => Promise<void>): Promise<void> => {
    // A step that failed is its caller's concern, not that of the next one.
    const before = last.get(cluster)?.catch(() => {})
    const mine = before === undefined ? step() : before.then(step)
    last.set(cluster, mine)
    try {
      await mine
    } finally {
      if (last.get(cluster) === mine) last.delete(cluster)
    }
  }
}
