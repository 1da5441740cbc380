// The use case of VM.revert: a VM becomes what it was when a snapshot was taken, in one
// transaction.

import type { VdiRow } from '../catalog/vdis.ts'
import type { OperationContext } from './context.ts'
import { asClone } from './vdi/derived-vdi.ts'
import { requireUnused } from './vdi/require-unused.ts'
import { disksOf, findVmToChange, requireChecked, requireWritableDisks } from './vm/find-vm.ts'
import { requireVmStays } from './vm/require-vm-stays.ts'

/**
 * @param taskRef the task that ends with it
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED,
 *   VDI_INCOMPATIBLE_TYPE; OPERATION_NOT_ALLOWED for what is no snapshot; VDI_IN_USE while a disk
 *   that would go is written or moved
 */
export const revertVm = async (
  context: OperationContext,
  snapshotUuid: string,
  taskRef?: string,
): Promise<void> => {
  const { snapshotOfUuid } = await findVmToChange(context, snapshotUuid, 'revert')
  if (snapshotOfUuid !== null) requireVmStays(context, snapshotOfUuid)
  const checked = await requireWritableDisks(context, await disksOf(context, snapshotUuid))
  const rows = {
    vdi(source: VdiRow) {
      requireChecked(snapshotUuid, checked, source.uuid)
      // Its clone takes its place as the disk that it is a snapshot of.
      requireUnused(context, source.uuid)
      return asClone(source)
    },
    replaced: ({ uuid }: VdiRow) => requireUnused(context, uuid),
  }
  const srUuids = await context.catalog.vms.revert(snapshotUuid, rows, taskRef)
  for (const srUuid of srUuids) context.storage.upkeep.collect(srUuid)
}
