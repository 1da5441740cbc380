// The use case of VM.destroy: the VM goes with its VBDs and VIFs; its VDIs stay.

import type { OperationContext } from './context.ts'
import { findVm } from './vm/find-vm.ts'

/**
 * @param taskRef the task that ends with it
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED
 */
export const destroyVm = async (
  context: OperationContext,
  vmUuid: string,
  taskRef?: string,
): Promise<void> => {
  await findVm(context, vmUuid, 'destroy')
  await context.catalog.vms.destroy(vmUuid, taskRef)
}
