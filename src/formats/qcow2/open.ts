// Image → Disk for QCOW2 at rest. L2 tables are read when a read or a walk comes to them;
// refcounts, snapshots and bitmaps are never looked at, nor is a backing file: what it would answer
// is a hole.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin } from '../../disk/disk.ts'
import type { ByteRange, Extent } from '../../disk/extents.ts'
import { clip } from '../../disk/extents.ts'
import { imageError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import { KiB } from '../../units.ts'
import { createCompressedCache } from './compressed-cache.ts'
import type { Header } from './header/header.ts'
import { parseHeader, PREFIX_LENGTH, readClusterSize } from './header/header.ts'
import { visitL2Tables } from './l1.ts'
import { createL2Cache, createL2Scan } from './l2-cache.ts'
import { createReader } from './read-clusters.ts'
import type { GuestRun } from './walk.ts'
import { createWalk } from './walk.ts'

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
    createWalk(header, what, l1, pieceSize, (piece, at) => cache.get(piece, at)),
    header,
    image,
    createCompressedCache(image, header, what),
  )
  return {
    size: header.virtualSize,
    async *extents(range) {
      const walk = createWalk(header, what, l1, clusterSize, createL2Scan(image, clusterSize))
      const wanted = rangeWithin(header.virtualSize, range)
      yield* readExtents(walk(wanted), wanted)
    },
    read: (offset, target, signal) => read([{ offset, length: target.length }], target, signal),
    readRanges: read,
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
