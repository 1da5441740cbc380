// The numbers of QCOW2: magic, limits, and the shape that diskport writes. Facts of the public
// specification ("The QCOW2 image format", docs/interop/qcow2 of QEMU); no behaviour.

import { KiB, MiB } from '../../units.ts'

/** `QFI\xfb`. */
export const MAGIC = 0x51_46_49_fb

/** Of all tables: L1, L2, refcount table. */
export const TABLE_ENTRY_SIZE = 8

/** Of L2 tables with subclusters: an entry, and two bits for each of its subclusters. */
export const EXTENDED_ENTRY_SIZE = 16
export const SUBCLUSTERS = 32

/**
 * Bytes of a version 2 header, of a version 3 header at least, and of one with a compression type.
 */
export const HEADER_LENGTH = { version2: 72, version3: 104, withCompression: 112 } as const

export const LIMITS = {
  clusterBits: { from: 9, to: 21 },
  clusterBitsOfExtendedL2: 14,
  l1Bytes: 32 * MiB,
  refcountTableBytes: 8 * MiB,
  refcountOrder: 6,
  snapshots: 65_536,
  bitmaps: 65_535,
  backingNameBytes: 1023,
} as const

/**
 * What diskport writes: version 3, 64 KiB clusters, 16-bit refcounts, as qemu-img does by default.
 */
export const WRITTEN = {
  version: 3,
  clusterBits: 16,
  clusterSize: 64 * KiB,
  /** Entries in a cluster of a table: L1, L2, refcount table. */
  tableEntries: (64 * KiB) / TABLE_ENTRY_SIZE,
  refcountOrder: 4,
  /** 16-bit refcounts in one refcount block. */
  refcountsInBlock: (64 * KiB) / 2,
} as const

export const CRYPT_METHODS: Readonly<Record<number, string>> = { 1: 'AES', 2: 'LUKS' }

export type CompressionType = 'zlib' | 'zstd'

export const COMPRESSION_TYPES: Readonly<Record<number, CompressionType>> = {
  0: 'zlib',
  1: 'zstd',
}
