// The use case of VDI.data_destroy: a snapshot keeps the map of its blocks, to tell what has
// changed since, and gives up its data.

import { findVdi } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { requireUnused } from './vdi/require-unused.ts'

/**
 * Returns when the room is free, except for data that others need or read.
 * @throws AppError HANDLE_INVALID, VDI_IN_USE, OPERATION_NOT_ALLOWED, VDI_NO_CBT_METADATA: see
 *   KeptMaps.destroyData
 */
export const destroyVdiData = async (context: OperationContext, vdiUuid: string): Promise<void> => {
  const { srUuid } = await findVdi(context, vdiUuid)
  requireUnused(context, vdiUuid)
  await context.catalog.keptMaps.destroyData(vdiUuid)
  await context.storage.upkeep.collectNow(srUuid)
}
