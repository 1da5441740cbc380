// The use case of VDI.clone: a VDI of its own that begins with the content of another, also of a
// snapshot. It names the same top layer, so it costs the same for any disk and copies nothing.

import { findVdi, requireWritableSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { asClone } from './vdi/derived-vdi.ts'

/**
 * @param taskRef the task that ends with it
 * @returns its uuid
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, VDI_INCOMPATIBLE_TYPE
 */
export const cloneVdi = async (
  context: OperationContext,
  vdiUuid: string,
  taskRef?: string,
): Promise<string> => {
  // Where nothing may be written, the files belong to others: what they show now could not be kept.
  await requireWritableSr(context, (await findVdi(context, vdiUuid)).srUuid)
  return (await context.catalog.vdis.derive(vdiUuid, asClone, taskRef)).uuid
}
