// The numbers of VirtualBox's VDI format, version 1.1: sizes, marks and limits. Little-endian
// throughout; the layout is that of VDICore.h in VirtualBox.

import { KiB, MiB } from '../../units.ts'

/** Text, signature and header, filled up to a sector. */
export const HEADER_SIZE = 512

/** After a text of 64 bytes, which may say anything. */
export const SIGNATURE_AT = 64
export const SIGNATURE = 0xbeda107f

/** Major 1, minor 1. */
export const FORMAT_VERSION = 0x00010001

/** The header's own size counts from here. */
export const SIZED_HEADER_AT = 72

/** `cbHeader` up to the parent's uuid, and with the geometry that newer images have after it. */
export const MINIMUM_HEADER_LENGTH = 0x180
export const WRITTEN_HEADER_LENGTH = 0x190

export const imageTypes = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 } as const

/** A map entry of a block that is all zeros; above it, all ones, one that was never written. */
export const ZERO_ENTRY = 0xfffffffe

/** The block size that every reader takes, and the only one that is written. */
export const BLOCK_SIZE = MiB

export const MINIMUM_BLOCK_SIZE = 4 * KiB
export const MAXIMUM_BLOCK_SIZE = 256 * MiB

/** The largest VDI in blocks of 1 MiB, rounded up to a power of two. */
export const MAXIMUM_BLOCKS = 16 * MiB
