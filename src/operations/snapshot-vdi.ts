// The use case of VDI.snapshot: what a VDI shows at this moment, in one more row that names the
// same top layer. It costs the same for any disk, never waits, and copies nothing.

import type { NewVdi, VdiRow } from '../catalog/vdis.ts'
import { findVdi, requireWritableSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { sameContent } from './vdi/derived-vdi.ts'
import { otherOperation } from '../object-errors.ts'

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
  // A snapshot moves with its disk: one more, in the middle of it, would be left behind.
  if (leases.operation(vdiUuid) === 'mirror') {
    const found = `The VDI ${vdiUuid} is being moved by ${leases.holder(vdiUuid)}`
    throw otherOperation('VDI', vdiUuid, found)
  }
  const rowOf = (source: VdiRow): NewVdi => ({
    ...sameContent(source),
    // Nothing writes into a snapshot whatever this says; clients make disks from its record.
    readOnly: false,
    isSnapshot: true,
    snapshotOfUuid: source.uuid,
    snapshotTime: new Date(),
  })
  return (await catalog.vdis.derive(vdiUuid, rowOf, taskRef)).uuid
}
