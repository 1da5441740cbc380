// Entries of L1 and L2 tables, bit by bit: used by everything that reads or writes them. An L2
// table is read as runs, so that neither time nor memory is spent on each of its clusters further
// on.

import type { ExtentKind } from '../../disk/extents.ts'
import type { ClusterRun } from './cluster-run.ts'
import { imageError, PastEndError } from '../../errors.ts'
import { hex, joinUint32 } from '../../image/binary.ts'
import type { CompressedSpan } from './compressed.ts'
import { readSpan } from './compressed.ts'
import { EXTENDED_ENTRY_SIZE, TABLE_ENTRY_SIZE } from './constants.ts'
import { readSubclusters, runOf } from './subclusters.ts'
import type { Header } from './header/header.ts'

// The halves of an entry. QCOW2, "L1 table entry" and "Standard Cluster Descriptor".
const offsetHigh = 0x00_ff_ff_ff // bits 32-55
const offsetLow = 0xff_ff_fe_00 // bits 9-31
const copiedHigh = 0x80_00_00_00 // bit 63: refcount is exactly one
const compressedHigh = 0x40_00_00_00 // bit 62, L2 only
const reservedL1High = 0x7f_00_00_00 // bits 56-62
const reservedL1Low = 0x00_00_01_ff // bits 0-8
const reservedL2High = 0x3f_00_00_00 // bits 56-61
const reservedL2Low = 0x00_00_01_fe // bits 1-8
const zeroLow = 0x00_00_00_01 // bit 0, L2 only, version 3

/** What is needed to read and check entries. */
export type TableRules = Pick<
  Header,
  'version' | 'clusterSize' | 'clusterCount' | 'entrySize' | 'l2Entries' | 'imageSize'
> & {
  /** What is being done, for messages: `Cannot decode qcow2`. */
  readonly what: string
}

/**
 * Where the L2 table of an L1 entry lies; 0 where there is none.
 * @param entry number of the entry at byte `at` of `view`
 * @throws AppError IMPORT_ERROR_GENERIC for reserved bits, or an offset that is not a whole cluster
 *   of the image
 */
export const readL1Entry = (
  view: DataView,
  at: number,
  entry: number,
  { what, clusterSize, imageSize }: TableRules,
): number => {
  const high = view.getUint32(at)
  const low = view.getUint32(at + 4)
  if ((high & reservedL1High) !== 0 || (low & reservedL1Low) !== 0) {
    throw imageError(what, `L1 entry ${entry} has reserved bits set: ${hexEntry(high, low)}`)
  }
  const offset = joinUint32(high & offsetHigh, low)
  if (offset % clusterSize !== 0) {
    const found = `offset ${hex(offset)}, clusters of ${clusterSize} bytes`
    throw imageError(what, `L2 table ${entry} is not at a cluster: ${found}`)
  }
  if (offset > 0 && offset + clusterSize > imageSize) {
    const found = `offset ${hex(offset)}, size ${hex(imageSize)}`
    throw new PastEndError(what, `L2 table ${entry} points past the end of the image: ${found}`)
  }
  return offset
}

/**
 * The runs of an L2 table, ascending, without gaps.
 * @param table the number of the table, that is of its L1 entry
 * @param from first guest cluster
 * @param to the guest cluster after the last one; both in this table and on the disk
 * @throws AppError IMPORT_ERROR_GENERIC as readL1Entry
 */
export function* readClusterRuns(
  view: DataView,
  table: number,
  from: number,
  to: number,
  rules: TableRules,
): Generator<ClusterRun, void, undefined> {
  const first = table * rules.l2Entries
  for (let cluster = from; cluster < to;) {
    const at = (cluster - first) * rules.entrySize
    const high = view.getUint32(at)
    const low = view.getUint32(at + 4)
    if ((high & compressedHigh) !== 0) {
      const { offset, length } = requireSpan(high, low, cluster, rules)
      yield { kind: 'data', cluster, count: 1, imageOffset: offset, compressedLength: length }
      cluster += 1
      continue
    }
    if (rules.entrySize === EXTENDED_ENTRY_SIZE) {
      const imageOffset = requireEntry(high, low, cluster, rules)
      const subclusters = readSubclusters(view, at, imageOffset)
      if (subclusters === undefined) {
        throw entryError(cluster, rules, 'has subclusters that cannot be what it says they are')
      }
      yield runOf(cluster, imageOffset, subclusters)
      cluster += 1
      continue
    }
    const kind = kindOf(high, low)
    const imageOffset = requireEntry(high, low, cluster, rules)
    const step = imageOffset === 0 ? 0 : rules.clusterSize
    const end = (to - first) * TABLE_ENTRY_SIZE
    const count = countLike(view, at, end, step)
    if (imageOffset > 0) {
      const last = imageOffset + (count - 1) * step
      if (last >= rules.imageSize) throw pastTheEnd(cluster + count - 1, last, rules)
    }
    yield { kind, cluster, count, imageOffset, compressedLength: 0 }
    cluster += count
  }
}

const kindOf = (high: number, low: number): ExtentKind => {
  if ((low & zeroLow) !== 0) return 'zero'
  return (high & offsetHigh) === 0 && (low & offsetLow) === 0 ? 'hole' : 'data'
}

/**
 * How many entries from byte `at` up to `end` carry on: same flags (but "copied"), each `step`
 * bytes further. A run ends where the low half does, every 4 GiB of the image: that costs next to
 * nothing.
 */
const countLike = (view: DataView, at: number, end: number, step: number): number => {
  const high = view.getUint32(at) & ~copiedHigh
  let low = view.getUint32(at + 4)
  let next = at + TABLE_ENTRY_SIZE
  for (; next < end; next += TABLE_ENTRY_SIZE) {
    low += step
    if (view.getUint32(next + 4) !== low || (view.getUint32(next) & ~copiedHigh) !== high) break
  }
  return (next - at) / TABLE_ENTRY_SIZE
}

/** The offset of an entry that may be read; 0 where no cluster is allocated. */
const requireEntry = (high: number, low: number, cluster: number, rules: TableRules): number => {
  const zero = (low & zeroLow) !== 0
  if (zero && rules.entrySize === EXTENDED_ENTRY_SIZE) {
    const found = `has the zero flag set, which belongs to its subclusters: ${hexEntry(high, low)}`
    throw entryError(cluster, rules, found)
  }
  const reserved = (high & reservedL2High) !== 0 || (low & reservedL2Low) !== 0
  if (reserved || (zero && rules.version === 2)) {
    const name = reserved ? 'reserved bits' : 'the zero flag, which version 2 does not have,'
    throw entryError(cluster, rules, `has ${name} set: ${hexEntry(high, low)}`)
  }
  const offset = joinUint32(high & offsetHigh, (low & offsetLow) >>> 0)
  if (offset % rules.clusterSize !== 0) {
    const found = `offset ${hex(offset)}, clusters of ${rules.clusterSize} bytes`
    throw entryError(cluster, rules, `does not point at a cluster: ${found}`)
  }
  // The cluster itself may end after the image does: the rest of it is zeros.
  if (offset >= rules.imageSize) throw pastTheEnd(cluster, offset, rules)
  return offset
}

/** Where a compressed cluster lies. Its last sector may end after the image does. */
const requireSpan = (
  high: number,
  low: number,
  cluster: number,
  rules: TableRules,
): CompressedSpan => {
  const span = readSpan(high, low, rules.clusterSize)
  if (!Number.isSafeInteger(span.offset) || span.offset >= rules.imageSize) {
    throw pastTheEnd(cluster, span.offset, rules)
  }
  return span
}

const pastTheEnd = (cluster: number, offset: number, rules: TableRules): Error =>
  new PastEndError(
    rules.what,
    `${entryName(cluster, rules)} points past the end of the image: offset ${hex(offset)}, size ${hex(rules.imageSize)}`,
  )

const entryError = (cluster: number, rules: TableRules, found: string): Error =>
  imageError(rules.what, `${entryName(cluster, rules)} ${found}`)

const entryName = (cluster: number, { clusterSize }: TableRules): string =>
  `the L2 entry of guest offset ${hex(cluster * clusterSize)}`

const hexEntry = (high: number, low: number): string => hex((BigInt(high) << 32n) | BigInt(low))

/** The guest clusters of L2 table `table`: from the first up to, not including, the last. */
export const clustersOfTable = (
  table: number,
  { l2Entries, clusterCount }: Pick<TableRules, 'l2Entries' | 'clusterCount'>,
): { readonly from: number; readonly to: number } => ({
  from: table * l2Entries,
  to: Math.min(clusterCount, (table + 1) * l2Entries),
})

/**
 * Writes `count` entries from byte `at` on, for tables or data clusters that follow each other from
 * `imageOffset` on, and that nothing else refers to.
 */
export const writeEntries = (
  view: DataView,
  at: number,
  imageOffset: number,
  count: number,
  clusterSize: number,
): void => {
  // Halves as signed 32-bit numbers, which stay in registers; their bits are what is written.
  let high = Math.floor(imageOffset / 2 ** 32) | copiedHigh
  let low = imageOffset | 0
  const end = at + count * TABLE_ENTRY_SIZE
  for (let next = at; next < end; next += TABLE_ENTRY_SIZE) {
    view.setInt32(next, high)
    view.setInt32(next + 4, low)
    low = (low + clusterSize) | 0
    // Offsets are whole clusters: one that goes past the half's end comes to 0.
    if (low === 0) high = (high + 1) | 0
  }
}

/**
 * Makes an entry read as zeros: an empty one by its flag alone, another keeps its cluster for
 * later.
 */
export const markZero = (view: DataView, at: number): void =>
  view.setUint32(at + 4, view.getUint32(at + 4) | zeroLow)

/**
 * What an entry of our own says: where its cluster lies (0: nowhere), and whether it reads as
 * zeros.
 */
export const readOwnEntry = (
  view: DataView,
  at: number,
): { readonly imageOffset: number; readonly isZero: boolean } => {
  const low = view.getUint32(at + 4)
  const imageOffset = joinUint32(view.getUint32(at) & offsetHigh, (low & offsetLow) >>> 0)
  return { imageOffset, isZero: (low & zeroLow) !== 0 }
}
