// The use case of VM.clone: a VM of its own whose disks begin with the content of another's, in one
// transaction. It costs the same for any disks and copies nothing.

import type { VdiRow } from '../catalog/vdis.ts'
import type { VmRow } from '../catalog/vms/vm-rows.ts'
import type { OperationContext } from './context.ts'
import { asClone } from './vdi/derived-vdi.ts'
import { independentVm, ownedVbd, withNewMac } from './vm/derived-vm.ts'
import { disksOf, findVm, requireChecked, requireWritableDisks } from './vm/find-vm.ts'

/**
 * @param taskRef the task that ends with it
 * @returns its uuid
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED,
 *   VDI_INCOMPATIBLE_TYPE, OTHER_OPERATION_IN_PROGRESS
 */
export const cloneVm = async (
  context: OperationContext,
  vmUuid: string,
  nameLabel: string,
  taskRef?: string,
): Promise<string> => {
  await findVm(context, vmUuid, 'clone')
  const checked = await requireWritableDisks(context, await disksOf(context, vmUuid))
  const rows = {
    vm: (source: VmRow) => independentVm(source, nameLabel),
    vdi(source: VdiRow) {
      requireChecked(vmUuid, checked, source.uuid)
      return asClone(source)
    },
    vbd: ownedVbd,
    vif: withNewMac,
    becomesParent: false,
  }
  return (await context.catalog.vms.derive(vmUuid, rows, taskRef)).uuid
}
