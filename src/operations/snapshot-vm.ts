// The use case of VM.snapshot: one transaction makes the record and a snapshot of each disk, so
// that all disks are shown at one point in time: no import commits between two of them.

import type { VdiRow } from '../catalog/vdis.ts'
import type { VmRow } from '../catalog/vms/vm-rows.ts'
import type { OperationContext } from './context.ts'
import { asSnapshot, requireNotMoving } from './vdi/derived-vdi.ts'
import { ownedVbd, snapshotVmRow } from './vm/derived-vm.ts'
import { disksOf, findVmToChange, requireChecked, requireWritableDisks } from './vm/find-vm.ts'

/**
 * @param taskRef the task that ends with it
 * @returns the uuid of the snapshot
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED,
 *   VDI_INCOMPATIBLE_TYPE;
 *   OTHER_OPERATION_IN_PROGRESS while a disk moves
 */
export const snapshotVm = async (
  context: OperationContext,
  vmUuid: string,
  nameLabel: string,
  taskRef?: string,
): Promise<string> => {
  const { catalog, leases } = context
  await findVmToChange(context, vmUuid, 'snapshot')
  const checked = await requireWritableDisks(context, await disksOf(context, vmUuid))
  const rows = {
    vm: (source: VmRow) => snapshotVmRow(source, nameLabel, new Date()),
    vdi(source: VdiRow) {
      requireChecked(vmUuid, checked, source.uuid)
      requireNotMoving(leases, source.uuid)
      return asSnapshot(source)
    },
    vbd: ownedVbd,
    vif: <T>(vif: T): T => vif,
    becomesParent: true,
  }
  return (await catalog.vms.derive(vmUuid, rows, taskRef)).uuid
}
