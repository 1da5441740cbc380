// What is asked of virtual sizes: every format checks them here before it allocates anything.

import { imageError } from '../errors.ts'
import { formatBytes, MiB, SECTOR_SIZE } from '../units.ts'

/**
 * How much larger than its VDI an image may be if nothing but zeros lies there: XenServer rounds
 * VDIs to 2 MiB, VHDs end at a cylinder.
 */
export const MAXIMUM_ROUNDING = 2 * MiB

/**
 * Whether a stream of `length` bytes may be a disk of `size` bytes that was rounded up. A disk is
 * never rounded to twice its size, so the end of a small one still counts.
 */
export const isRoundedUp = (length: number, size: number): boolean =>
  size - length <= MAXIMUM_ROUNDING && length * 2 > size

/**
 * @param what what is being done: `Cannot decode vhd`
 * @throws AppError IMPORT_ERROR_GENERIC unless 0 < size ≤ maximum and size is whole sectors
 */
export const requireVirtualSize = (what: string, size: number, maximum: number): void => {
  if (size <= 0) throw imageError(what, 'the virtual size is 0')
  if (size > maximum) {
    throw imageError(
      what,
      `the virtual size is ${formatBytes(size, maximum)}, the limit is ${formatBytes(maximum, size)}`,
    )
  }
  if (size % SECTOR_SIZE !== 0) {
    throw imageError(what, `the virtual size of ${size} bytes is not a multiple of ${SECTOR_SIZE}`)
  }
}
