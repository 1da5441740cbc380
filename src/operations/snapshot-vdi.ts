// The use case of VDI.snapshot: what a VDI shows at this moment, in one more row that names the
// same top layer. It costs the same for any disk, never waits, and copies nothing.

import { findVdi, requireWritableSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { asSnapshot, requireNotMoving } from './vdi/derived-vdi.ts'

/**
 * An import that is under way does not change the snapshot.
 * @param taskRef the task that ends with it
 * @returns the uuid of the snapshot
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, VDI_INCOMPATIBLE_TYPE;
 *   OTHER_OPERATION_IN_PROGRESS while the VDI moves
 */
export const snapshotVdi = async (
  context: OperationContext,
  vdiUuid: string,
  taskRef?: string,
): Promise<string> => {
  const { catalog, leases } = context
  // Where nothing may be written, the files belong to others: what they show now could not be kept.
  await requireWritableSr(context, (await findVdi(context, vdiUuid)).srUuid)
  requireNotMoving(leases, vdiUuid)
  return (await catalog.vdis.derive(vdiUuid, asSnapshot, taskRef)).uuid
}
