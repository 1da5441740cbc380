// The use case of VDI.destroy: the VDI goes at once, the layers that only it needed are deleted in
// the background, files that others wrote included.

import { findVdi, requireWritableSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { requireUnused } from './vdi/require-unused.ts'

/**
 * @param taskRef the task that ends with it
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED; VDI_IN_USE while it
 *   is written or moved
 */
export const destroyVdi = async (
  context: OperationContext,
  vdiUuid: string,
  taskRef?: string,
): Promise<void> => {
  const { srUuid } = await findVdi(context, vdiUuid)
  await requireWritableSr(context, srUuid)
  requireUnused(context, vdiUuid)
  await context.catalog.vdis.destroy(vdiUuid, taskRef)
  context.storage.upkeep.collect(srUuid)
}
