// Image → Disk for QCOW2 at rest. L2 tables are read when a read or a walk comes to them;
// refcounts, snapshots and bitmaps are never looked at, nor is a backing file: what it would answer
// is a hole.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin, throwIfAborted } from '../../disk/disk.ts'
import type { ByteRange, Extent } from '../../disk/extents.ts'
import { clip } from '../../disk/extents.ts'
import { imageError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import { KiB } from '../../units.ts'
import type { CompressedCache } from './compressed-cache.ts'
import { createCompressedCache } from './compressed-cache.ts'
import type { Header } from './header/header.ts'
import { parseHeader, PREFIX_LENGTH, readClusterSize } from './header/header.ts'
import { visitL2Tables } from './l1.ts'
import type { L2Cache } from './l2-cache.ts'
import { createL2Cache, createL2Scan } from './l2-cache.ts'
import type { ClusterRun } from './cluster-run.ts'
import { partsOf } from './subclusters.ts'
import { readClusterRuns } from './tables.ts'

const what = 'Cannot open qcow2'

/**
 * Bytes of an L2 table that are read and kept at once: a disk with data here and there needs little
 * of each.
 */
const cachedPieceSize = 4 * KiB

/**
 * See ImageFormat.open. Holds the L1 table (8 bytes an entry, at most 32 MiB) and the cache of L2
 * tables.
 */
export const openQcow2 = async (image: Image): Promise<Disk> => {
  const { header, l1 } = await readTables(image, what)
  const { clusterSize } = header
  const pieceSize = Math.min(clusterSize, cachedPieceSize)
  const cache = createL2Cache(image, pieceSize)
  const read = createReader(
    createWalk(header, l1, pieceSize, (piece, at) => cache.get(piece, at)),
    header,
    image,
    createCompressedCache(image, header, what),
  )
  return {
    size: header.virtualSize,
    async *extents(range) {
      const walk = createWalk(header, l1, clusterSize, createL2Scan(image, clusterSize))
      const wanted = rangeWithin(header.virtualSize, range)
      yield* readExtents(walk(wanted), wanted)
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(header.virtualSize, { offset, length: target.length })
      if (target.length > 0) await read(offset, target, signal)
    },
    close: () => image.close(),
  }
}

/**
 * The header, and where each L2 table lies; 0 where there is none. @throws AppError
 * IMPORT_ERROR_GENERIC
 */
export const readTables = async (
  image: Image,
  what: string,
): Promise<{ readonly header: Header; readonly l1: Float64Array }> => {
  const header = parseHeader(await readFirstCluster(image, what), image.size, what)
  const l1 = new Float64Array(header.l1Entries)
  await visitL2Tables(
    header,
    what,
    (offset, target) => image.read(offset, target),
    (table, offset) => (l1[table] = offset),
  )
  return { header, l1 }
}

/** @throws AppError IMPORT_ERROR_GENERIC if it is not a QCOW2 image, or too short for one */
export const readFirstCluster = async (image: Image, what: string): Promise<Uint8Array> => {
  if (image.size < PREFIX_LENGTH) {
    throw imageError(what, `the file has ${image.size} bytes, a header needs ${PREFIX_LENGTH}`)
  }
  const prefix = new Uint8Array(PREFIX_LENGTH)
  await image.read(0, prefix)
  const clusterSize = readClusterSize(prefix, what)
  if (image.size < clusterSize) {
    throw imageError(what, `the file has ${image.size} bytes, one cluster has ${clusterSize}`)
  }
  const cluster = new Uint8Array(clusterSize)
  await image.read(0, cluster)
  return cluster
}

/**
 * The runs of clusters that meet a range of the disk, ascending; without an L2 table one hole for
 * many.
 */
type Walk = (range: ByteRange) => AsyncGenerator<Iterable<GuestRun>, void, undefined>

/** A run in bytes of the guest's disk. */
interface GuestRun extends Extent {
  /** Where its first byte lies in the image, 0 where none is allocated. */
  readonly imageOffset: number
  /** Of a compressed cluster. */
  readonly compressed?: ClusterRun
}

function* guestRuns(
  runs: Iterable<ClusterRun>,
  clusterSize: number,
): Generator<GuestRun, void, undefined> {
  for (const run of runs) {
    const { kind, cluster, count, imageOffset } = run
    const offset = cluster * clusterSize
    if (run.subclusters !== undefined) {
      for (const part of partsOf(run.subclusters, clusterSize)) {
        const partOffset = imageOffset + part.offset
        yield { ...part, offset: offset + part.offset, imageOffset: partOffset }
      }
    } else {
      const whole = { kind, offset, length: count * clusterSize, imageOffset }
      yield run.compressedLength > 0 ? { ...whole, compressed: run } : whole
    }
  }
}

/**
 * Reads L2 tables in the pieces that `getPiece` gives, of `pieceSize` bytes: a whole table, or a
 * part of one.
 */
const createWalk = (
  header: Header,
  l1: Float64Array,
  pieceSize: number,
  getPiece: L2Cache['get'],
): Walk => {
  const { clusterSize, clusterCount, entrySize, l2Entries } = header
  const pieceEntries = pieceSize / entrySize
  const rules = { ...header, what, l2Entries: pieceEntries }

  return async function* walk({ offset, length }) {
    const end = Math.ceil((offset + length) / clusterSize)
    for (let cluster = Math.floor(offset / clusterSize); cluster < end;) {
      let table = Math.floor(cluster / l2Entries)
      if (l1[table] === 0) {
        while (table < l1.length && l1[table] === 0) table += 1
        const to = Math.min(end, table * l2Entries)
        const offset = cluster * clusterSize
        yield [{ kind: 'hole', offset, length: to * clusterSize - offset, imageOffset: 0 }]
        cluster = to
        continue
      }
      const piece = Math.floor(cluster / pieceEntries)
      const from = piece * pieceEntries
      const to = Math.min(end, clusterCount, from + pieceEntries)
      const inside = (from - table * l2Entries) * entrySize
      const view = await getPiece(piece, l1[table]! + inside)
      yield guestRuns(readClusterRuns(view, piece, cluster, to, rules), clusterSize)
      cluster = to
    }
  }
}

/**
 * Joined by kind as they come: a walk over fragmented clusters waits once a table, not once a run.
 */
async function* readExtents(
  tables: AsyncIterable<Iterable<GuestRun>>,
  range: ByteRange,
): AsyncGenerator<Extent, void, undefined> {
  if (range.length === 0) return
  let last: Extent | undefined
  for await (const runs of tables) {
    for (const run of runs) {
      const part = clip(run, range)
      if (part === undefined) continue
      const { offset, length } = part
      if (last?.kind === run.kind) {
        last = { kind: last.kind, offset: last.offset, length: last.length + length }
        continue
      }
      if (last !== undefined) yield last
      last = { kind: run.kind, offset, length }
    }
  }
  if (last !== undefined) yield last
}

/**
 * Clusters that follow each other in the image are one read of it; compressed ones are read and
 * decompressed beside the others.
 */
const createReader =
  (walk: Walk, { clusterSize }: Header, image: Image, cache: CompressedCache) =>
  async (offset: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<void> => {
    const range = { offset, length: target.length }
    let from = 0
    let to = 0
    let imageOffset = 0
    const flush = async (): Promise<void> => {
      if (to > from) await readClipped(image, imageOffset, target.subarray(from, to), signal)
      from = to
    }
    const fillFrom = async (run: ClusterRun, part: ByteRange): Promise<void> => {
      const content = await cache.get(run)
      const inside = part.offset - run.cluster * clusterSize
      target.set(content.subarray(inside, inside + part.length), part.offset - offset)
    }
    const underWay: Promise<void>[] = []
    try {
      for await (const runs of walk(range)) {
        for (const run of runs) {
          const part = clip(run, range)
          if (part === undefined) continue
          const start = part.offset - offset
          if (run.compressed !== undefined) {
            const filling = fillFrom(run.compressed, part)
            filling.catch(() => {})
            underWay.push(filling)
            continue
          }
          if (run.kind !== 'data') {
            target.fill(0, start, start + part.length)
            continue
          }
          const partOffset = run.imageOffset + (part.offset - run.offset)
          if (start !== to || imageOffset + (to - from) !== partOffset) {
            await flush()
            from = start
            imageOffset = partOffset
          }
          to = start + part.length
        }
      }
      await flush()
      await Promise.all(underWay)
    } finally {
      // Nothing may write into the caller's bytes any more.
      await Promise.allSettled(underWay)
    }
  }

/** What a short last cluster leaves out is zeros. */
const readClipped = async (
  image: Image,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const present = Math.max(0, Math.min(target.length, image.size - offset))
  if (present > 0) await image.read(offset, target.subarray(0, present), signal)
  target.fill(0, present)
}
