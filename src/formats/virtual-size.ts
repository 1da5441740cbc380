// The one check of virtual sizes: every format asks it before it allocates anything.

import { imageError } from '../errors.ts'
import { formatBytes, SECTOR_SIZE } from '../units.ts'

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
