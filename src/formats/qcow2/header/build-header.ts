// First cluster of the QCOW2 images that diskport writes: exports and layers at rest.

import { imageError } from '../../../errors.ts'
import { alignUp } from '../../../units.ts'
import type { CompressionType } from '../constants.ts'
import { HEADER_LENGTH, LIMITS, MAGIC, WRITTEN } from '../constants.ts'
import { COMPRESSION_TYPE_BIT } from './features.ts'
import { buildHeaderExtensions } from './header-extensions.ts'
import { writeHeaderFields } from './header-fields.ts'

/** What an image that diskport writes says in its first cluster. Offsets in bytes. */
interface HeaderToWrite {
  readonly virtualSize: number
  readonly l1Entries: number
  readonly l1Offset: number
  readonly refcountTableOffset: number
  readonly refcountTableClusters: number
  /** Of the compressed clusters; absent where there are none. */
  readonly compression?: CompressionType
  readonly backing?: { readonly name: string; readonly format: string }
}

/**
 * The first cluster of an image as `WRITTEN` says, filled up with zeros.
 * @throws AppError IMPORT_ERROR_GENERIC for a backing name above the limit
 */
export const buildHeaderCluster = (header: HeaderToWrite): Uint8Array => {
  const cluster = new Uint8Array(WRITTEN.clusterSize)
  const extensions = buildHeaderExtensions(header.backing?.format)
  const name = Buffer.from(header.backing?.name ?? '', 'utf8')
  if (name.length > LIMITS.backingNameBytes) {
    const found = `the backing file name has ${name.length} bytes`
    throw imageError('Cannot write qcow2', `${found}, the limit is ${LIMITS.backingNameBytes}`)
  }
  const nameOffset = alignUp(HEADER_LENGTH.withCompression + extensions.length, 8)
  writeHeaderFields(cluster, {
    magic: MAGIC,
    version: WRITTEN.version,
    backing_file_offset: name.length === 0 ? 0 : nameOffset,
    backing_file_size: name.length,
    cluster_bits: WRITTEN.clusterBits,
    size: header.virtualSize,
    l1_size: header.l1Entries,
    l1_table_offset: header.l1Offset,
    refcount_table_offset: header.refcountTableOffset,
    refcount_table_clusters: header.refcountTableClusters,
    incompatible_features: header.compression === 'zstd' ? 1n << BigInt(COMPRESSION_TYPE_BIT) : 0n,
    compression_type: header.compression === 'zstd' ? 1 : 0,
    refcount_order: WRITTEN.refcountOrder,
    header_length: HEADER_LENGTH.withCompression,
  })
  cluster.set(extensions, HEADER_LENGTH.withCompression)
  cluster.set(name, nameOffset)
  return cluster
}
