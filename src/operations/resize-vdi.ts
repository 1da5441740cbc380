// Makes a VDI larger: a number in its row. The layers stay as they are; what is beyond their end
// reads as zeros.

import { alignUp, SECTOR_SIZE } from '../units.ts'
import { requireSizeAllowed } from '../transfer/at-rest-format.ts'
import { requireData } from '../store/reading/require-data.ts'
import { findVdi, requireWritable, requireWritableSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'

/**
 * @param size in bytes, rounded up to whole sectors
 * @param taskRef the task that ends with it
 * @throws AppError HANDLE_INVALID, VDI_READONLY, VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE,
 *   OPERATION_NOT_ALLOWED; OTHER_OPERATION_IN_PROGRESS while something writes into it;
 *   INVALID_VALUE for less than it has
 */
export const resizeVdi = async (
  context: OperationContext,
  vdiUuid: string,
  size: number,
  taskRef?: string,
): Promise<void> => {
  await findVdi(context, vdiUuid)
  const release = context.leases.take(vdiUuid, 'a change of its size', 'resize')
  try {
    const vdi = await findVdi(context, vdiUuid)
    requireData(vdi)
    requireWritable(vdi)
    await requireWritableSr(context, vdi.srUuid)
    const virtualSize = alignUp(size, SECTOR_SIZE)
    requireSizeAllowed(virtualSize, vdi.format, vdiUuid)
    await context.catalog.vdis.resize(vdiUuid, virtualSize, taskRef)
  } finally {
    release()
  }
}
