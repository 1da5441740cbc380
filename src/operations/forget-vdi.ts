// The use case of VDI.forget: the VDI goes, and with it the records of the layers that only it
// needs. All files stay, and a scan finds them again.

import { findVdi } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { requireUnused } from './vdi/require-unused.ts'

/** @throws AppError HANDLE_INVALID; VDI_IN_USE while it is written or moved */
export const forgetVdi = async (context: OperationContext, vdiUuid: string): Promise<void> => {
  await findVdi(context, vdiUuid)
  requireUnused(context, vdiUuid)
  await context.catalog.forget.vdi(vdiUuid)
}
