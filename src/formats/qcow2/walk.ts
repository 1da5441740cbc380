// The runs of clusters of an image at rest, as the guest orders them: open.ts lists and reads them.

import type { ByteRange, Extent } from '../../disk/extents.ts'
import type { ClusterRun } from './cluster-run.ts'
import type { Header } from './header/header.ts'
import type { L2Cache } from './l2-cache.ts'
import { partsOf } from './subclusters.ts'
import { readClusterRuns } from './tables.ts'

/**
 * The runs of clusters that meet a range of the disk, ascending; without an L2 table one hole for
 * many.
 */
export type Walk = (range: ByteRange) => AsyncGenerator<Iterable<GuestRun>, void, undefined>

/** A run in bytes of the guest's disk. */
export interface GuestRun extends Extent {
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
export const createWalk = (
  header: Header,
  what: string,
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
