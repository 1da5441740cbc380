// The refusal of disks that no VHD can hold, for exports and layers alike.

import { formatBytes, GiB } from '../../units.ts'
import { MAXIMUM_VHD_SIZE } from './constants.ts'
import { vdiTooLarge } from '../../object-errors.ts'

/**
 * @param advice what to do where that can be told
 * @throws AppError VDI_TOO_LARGE above 2040 GiB
 */
export const requireVhdSize = (size: number, uuid: string, advice?: string): void => {
  if (size <= MAXIMUM_VHD_SIZE) return
  const limit = `${MAXIMUM_VHD_SIZE / GiB} GiB (${MAXIMUM_VHD_SIZE} bytes)`
  const found = `The disk ${uuid} of ${formatBytes(size)} does not fit a VHD`
  const message = `${found}, which holds at most ${limit}${advice === undefined ? '' : `: ${advice}`}`
  throw vdiTooLarge(uuid, MAXIMUM_VHD_SIZE, message)
}
