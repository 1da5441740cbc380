// The numbers of the VHD format: sizes, marks and limits. Big-endian throughout.

import { GiB, KiB, MiB } from '../../units.ts'

export const FOOTER_SIZE = 512

/** Old files lack the last byte of the closing footer, which is reserved and zero. */
export const SHORT_FOOTER_SIZE = 511

export const HEADER_SIZE = 1024

export const footerCookie = 'conectix'
export const headerCookie = 'cxsparse'

/** Version 1.0, of the footer and of the header alike. */
export const FORMAT_VERSION = 0x00010000

/** Footer `type`. */
export const diskTypes = { fixed: 2, dynamic: 3, differencing: 4 } as const

/** A table entry of a block that the image does not hold. */
export const UNUSED_ENTRY = 0xffffffff

/** A sector number of 32 bits reaches this far with blocks of 2 MiB and their bitmaps. */
export const MAXIMUM_VHD_SIZE = 2040 * GiB

/** The block size that every reader takes, and the only one that is written. */
export const BLOCK_SIZE = 2 * MiB

export const MINIMUM_BLOCK_SIZE = 512 * KiB
export const MAXIMUM_BLOCK_SIZE = 256 * MiB

/** 2040 GiB in the smallest blocks, rounded up to a power of two. */
export const MAXIMUM_TABLE_ENTRIES = 4 * MiB

/** A locator holds a path: longer ones are no path. */
export const MAXIMUM_LOCATOR_SIZE = 64 * KiB
