// The use case of VM.destroy: the VM goes with its VBDs and VIFs; its VDIs stay.

import type { OperationContext } from './context.ts'
import { findVmToChange } from './vm/find-vm.ts'

/**
 * @param taskRef the task that ends with it
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED, OTHER_OPERATION_IN_PROGRESS
 */
export const destroyVm = async (
  context: OperationContext,
  vmUuid: string,
  taskRef?: string,
): Promise<void> => {
  await findVmToChange(context, vmUuid, 'destroy')
  await context.catalog.vms.destroy(vmUuid, taskRef)
}
