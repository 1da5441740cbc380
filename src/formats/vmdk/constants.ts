// The numbers of VMDK's sparse extents: marks, flags, sizes and limits, as VMware's "Virtual Disk
// Format 5.0" gives them. Little-endian throughout; places are numbers of sectors.

import { GiB, KiB, MiB, SECTOR_SIZE } from '../../units.ts'

/** `KDMV`, read as bytes. */
export const SIGNATURE = 'KDMV'

export const HEADER_SIZE = SECTOR_SIZE

export const flags = {
  newlineTest: 1,
  redundantTables: 2,
  zeroedGrains: 4,
  compressed: 0x10000,
  markers: 0x20000,
} as const

/** Of compressed grains. */
export const DEFLATE = 1

/** In the place of the directory: it is named by the footer. */
export const AT_END = 2n ** 64n - 1n

/** A table entry of a grain that is zeros, where the flags say so. */
export const ZEROED_GRAIN = 1

export const MINIMUM_GRAIN_SIZE = 4 * KiB
export const MAXIMUM_GRAIN_SIZE = 2 * MiB

/** Entries of a table, in all that is written; less is taken. */
export const TABLE_ENTRIES = 512

export const MAXIMUM_DESCRIPTOR_SIZE = MiB

/** That of the largest disk, in the smallest grains and whole tables. */
export const MAXIMUM_DIRECTORY_SIZE = 32 * MiB

export const WRITTEN_GRAIN_SIZE = 64 * KiB
/** Of a descriptor, with room for what other programs add. */
export const WRITTEN_DESCRIPTOR_SECTORS = 20

/** Kinds of markers that stand for themselves; grains have markers of their own. */
export const markerTypes = { endOfStream: 0, table: 1, directory: 2, footer: 3 } as const

/** Before the bytes of a compressed grain: its first sector (8 bytes), its length (4). */
export const GRAIN_MARKER_SIZE = 12

/**
 * The largest disk that is written: sectors of the file are counted in 32 bits, and grains that do
 * not compress take 129 of them.
 */
export const MAXIMUM_VMDK_SIZE = 2030 * GiB
