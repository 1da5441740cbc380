// First cluster of a QCOW2 image → what reading needs of it. Every limit of the header is checked
// here, before anything is allocated by it; nothing else of the image is read.

import { imageError, PastEndError } from '../../../errors.ts'
import { hex, viewOf } from '../../../image/binary.ts'
import { formatBytes, MAXIMUM_DISK_SIZE, unitsFor } from '../../../units.ts'
import { requireVirtualSize } from '../../virtual-size.ts'
import type { CompressionType } from '../constants.ts'
import {
  COMPRESSION_TYPES,
  CRYPT_METHODS,
  EXTENDED_ENTRY_SIZE,
  HEADER_LENGTH,
  LIMITS,
  MAGIC,
  TABLE_ENTRY_SIZE,
} from '../constants.ts'
import { COMPRESSION_TYPE_BIT, hasFeature, requireReadableFeatures } from './features.ts'
import { readHeaderExtensions } from './header-extensions.ts'
import type { HeaderFields } from './header-fields.ts'
import { readHeaderFields } from './header-fields.ts'

/** Bytes that `readClusterSize` needs: the smallest possible cluster. */
export const PREFIX_LENGTH = 2 ** LIMITS.clusterBits.from

const extendedL2Bit = 4

/** What reading an image needs of its header. Offsets and lengths in bytes. */
export interface Header {
  readonly version: 2 | 3
  readonly virtualSize: number
  readonly clusterSize: number
  /** Clusters of the guest's disk; the last one may lie partly outside of it. */
  readonly clusterCount: number
  /** Bytes of an L2 entry: 16 where it tells of the 32 subclusters of its cluster. */
  readonly entrySize: 8 | 16
  /** Entries in an L2 table. */
  readonly l2Entries: number
  readonly l1Offset: number
  /**
   * L1 entries that belong to the disk. The table in the image may have more, for the state of a
   * machine.
   */
  readonly l1Entries: number
  readonly refcountTableOffset: number
  readonly refcountTableLength: number
  /** The image's own word that it lies on another one. The name itself is never used. */
  readonly hasBackingName: boolean
  /** Internal snapshots: states of the disk beside the current one, the only one that is read. */
  readonly snapshots: number
  readonly bitmaps: number
  /** Of compressed clusters. */
  readonly compression: CompressionType
  /** Where the image ends; Number.MAX_SAFE_INTEGER where that is not known. */
  readonly imageSize: number
}

/**
 * Bytes in the first cluster, all of which `parseHeader` wants.
 * @param prefix at least the first PREFIX_LENGTH bytes of the image
 * @throws AppError IMPORT_ERROR_GENERIC for another format or version
 */
export const readClusterSize = (prefix: Uint8Array, what: string): number => {
  const view = viewOf(prefix)
  const magic = view.getUint32(0)
  if (magic !== MAGIC) {
    throw imageError(what, `it starts with ${hex(magic)}, a qcow2 image starts with ${hex(MAGIC)}`)
  }
  const { version, cluster_bits: bits } = readHeaderFields(prefix, HEADER_LENGTH.version2, what)
  if (version !== 2 && version !== 3) {
    throw imageError(what, `the version is ${version}, only 2 and 3 are supported`)
  }
  const { from, to } = LIMITS.clusterBits
  if (bits < from || bits > to) {
    throw imageError(what, `cluster_bits is ${bits}, must be ${from} to ${to}`)
  }
  return 2 ** bits
}

/**
 * @param cluster the whole first cluster
 * @param imageSize length of the image, undefined for a stream whose length is not known
 * @throws AppError IMPORT_ERROR_GENERIC for a field beyond its limit, or a feature that is not
 *   supported
 */
export const parseHeader = (
  cluster: Uint8Array,
  imageSize: number | undefined,
  what: string,
): Header => {
  const clusterSize = readClusterSize(cluster, what)
  const fields = readHeaderFields(cluster, readHeaderLength(cluster, what), what)
  requirePlain(fields, what)
  const extensionsEnd = requireBackingName(fields, clusterSize, what)
  const extensions = readHeaderExtensions(cluster, fields.header_length, extensionsEnd, what)
  requireReadableFeatures(what, fields.incompatible_features, extensions.incompatibleName)
  const compression = requireCompression(fields, what)
  requireVirtualSize(what, fields.size, MAXIMUM_DISK_SIZE)
  requireAtMost(what, 'refcount_order', fields.refcount_order, LIMITS.refcountOrder)
  requireAtMost(what, 'nb_snapshots', fields.nb_snapshots, LIMITS.snapshots)
  requireAtMost(what, 'the number of bitmaps', extensions.bitmaps, LIMITS.bitmaps)

  const entrySize = readEntrySize(fields, clusterSize, what)
  const l2Entries = clusterSize / entrySize
  const clusterCount = unitsFor(fields.size, clusterSize)
  const header: Header = {
    version: fields.version === 2 ? 2 : 3,
    virtualSize: fields.size,
    clusterSize,
    clusterCount,
    entrySize,
    l2Entries,
    l1Offset: fields.l1_table_offset,
    l1Entries: unitsFor(clusterCount, l2Entries),
    refcountTableOffset: fields.refcount_table_offset,
    refcountTableLength: fields.refcount_table_clusters * clusterSize,
    hasBackingName: fields.backing_file_offset !== 0 && fields.backing_file_size > 0,
    snapshots: fields.nb_snapshots,
    bitmaps: extensions.bitmaps,
    compression,
    imageSize: imageSize ?? Number.MAX_SAFE_INTEGER,
  }
  requireTables(header, fields, what)
  return header
}

const readHeaderLength = (cluster: Uint8Array, what: string): number => {
  const short = readHeaderFields(cluster, HEADER_LENGTH.version2, what)
  if (short.version === 2) return HEADER_LENGTH.version2
  const { header_length: length } = readHeaderFields(cluster, HEADER_LENGTH.version3, what)
  if (length < HEADER_LENGTH.version3 || length % 8 !== 0 || length > cluster.length) {
    const range = `a multiple of 8 from ${HEADER_LENGTH.version3} to ${cluster.length}`
    throw imageError(what, `header_length is ${length}, must be ${range}`)
  }
  return length
}

/** Encryption has no feature bit of its own: only the field says it. */
const requirePlain = ({ crypt_method: method }: HeaderFields, what: string): void => {
  if (method === 0) return
  const name = CRYPT_METHODS[method] ?? 'an unknown method'
  throw imageError(what, `the image is encrypted (${name}, crypt_method ${method})`)
}

const requireCompression = (fields: HeaderFields, what: string): CompressionType => {
  const type = fields.compression_type
  const known = COMPRESSION_TYPES[type]
  const name = known ?? 'unknown'
  const marked = hasFeature(fields.incompatible_features, COMPRESSION_TYPE_BIT)
  if (marked !== (type !== 0)) {
    const found = `compression_type is ${type} (${name})`
    const bit = `incompatible feature bit ${COMPRESSION_TYPE_BIT} is ${marked ? 'set' : 'not set'}`
    throw imageError(what, `${found}, yet ${bit}`)
  }
  if (known === undefined) throw imageError(what, `compression type ${type} is not known`)
  return known
}

const readEntrySize = (fields: HeaderFields, clusterSize: number, what: string): 8 | 16 => {
  if (!hasFeature(fields.incompatible_features, extendedL2Bit)) return TABLE_ENTRY_SIZE
  const least = 2 ** LIMITS.clusterBitsOfExtendedL2
  if (clusterSize < least) {
    const found = `clusters of ${clusterSize} bytes, at least ${least} are needed`
    throw imageError(what, `extended L2 entries with ${found}`)
  }
  return EXTENDED_ENTRY_SIZE
}

/** Where the header's extensions end: at the backing file name, or with the first cluster. */
const requireBackingName = (fields: HeaderFields, clusterSize: number, what: string): number => {
  const { backing_file_offset: offset, backing_file_size: length, header_length } = fields
  if (offset === 0) return clusterSize
  requireAtMost(what, 'the length of the backing file name', length, LIMITS.backingNameBytes)
  if (offset < header_length || offset + length > clusterSize) {
    const found = `${length} bytes at ${hex(offset)}`
    const room = `the first cluster, ${hex(header_length)} to ${hex(clusterSize)}`
    throw imageError(what, `the backing file name lies outside ${room}: ${found}`)
  }
  return offset
}

const requireAtMost = (what: string, name: string, value: number, limit: number): void => {
  if (value > limit) throw imageError(what, `${name} is ${value}, the limit is ${limit}`)
}

interface Table {
  readonly name: string
  readonly offset: number
  readonly length: number
}

const requireTables = (header: Header, fields: HeaderFields, what: string): void => {
  const { clusterSize, l1Entries, refcountTableLength } = header
  const l1Length = fields.l1_size * TABLE_ENTRY_SIZE
  if (l1Length > LIMITS.l1Bytes) {
    const limit = formatBytes(LIMITS.l1Bytes, l1Length)
    const found = `the L1 table has ${formatBytes(l1Length, LIMITS.l1Bytes)}`
    throw imageError(what, `${found}, the limit is ${limit}`)
  }
  if (fields.l1_size < l1Entries) {
    const needs = `a virtual size of ${formatBytes(fields.size)} needs ${l1Entries}`
    throw imageError(what, `the L1 table has ${fields.l1_size} entries, ${needs}`)
  }
  if (refcountTableLength > LIMITS.refcountTableBytes) {
    const maximum = LIMITS.refcountTableBytes
    const found = `the refcount table has ${formatBytes(refcountTableLength, maximum)}`
    throw imageError(what, `${found}, the limit is ${formatBytes(maximum, refcountTableLength)}`)
  }
  const first: Table = { name: 'the header', offset: 0, length: clusterSize }
  const l1: Table = { name: 'the L1 table', offset: header.l1Offset, length: l1Length }
  const tables = [first, l1]
  // Refcounts are not needed to read: an image may come without them.
  if (refcountTableLength > 0) {
    const offset = header.refcountTableOffset
    tables.push({ name: 'the refcount table', offset, length: refcountTableLength })
  }
  if (fields.nb_snapshots > 0) {
    tables.push({ name: 'the snapshot table', offset: fields.snapshots_offset, length: 1 })
  }
  for (const table of tables.slice(1)) requireInside(table, header, what)
  requireApart(tables, what)
}

const requireInside = ({ name, offset, length }: Table, header: Header, what: string): void => {
  const { clusterSize, imageSize } = header
  if (offset % clusterSize !== 0) {
    throw imageError(what, `${name} is not at a multiple of ${clusterSize} bytes: ${hex(offset)}`)
  }
  if (offset + length > imageSize) {
    const found = `offset ${hex(offset)}, ${length} bytes, size ${hex(imageSize)}`
    throw new PastEndError(what, `${name} leaves the image: ${found}`)
  }
}

const requireApart = (tables: readonly Table[], what: string): void => {
  const sorted = tables.toSorted((a, b) => a.offset - b.offset)
  for (const [index, table] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next === undefined || table.offset + table.length <= next.offset) continue
    const span = `${hex(table.offset)} to ${hex(table.offset + table.length)}`
    throw imageError(what, `${next.name} at ${hex(next.offset)} overlaps ${table.name}, ${span}`)
  }
}
