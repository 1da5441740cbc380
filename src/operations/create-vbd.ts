// The use case of VBD.create: a VM names a VDI as one of its disks.

import type { NewVbd } from '../catalog/vms/vbds.ts'
import { AppError } from '../errors.ts'
import { vdiReadOnly } from '../object-errors.ts'
import { findVdi } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { requireVdiStays, requireVmStays } from './vm/require-vm-stays.ts'

/**
 * By XenServer's rules: a CD drive is read-only and may be empty, a disk is not.
 * @param taskRef the task that ends with it
 * @returns its uuid
 * @throws AppError HANDLE_INVALID, DEVICE_ALREADY_EXISTS, VBD_CDS_MUST_BE_READONLY,
 *   VBD_NOT_REMOVABLE_MEDIA, VDI_READONLY, OTHER_OPERATION_IN_PROGRESS
 */
export const createVbd = async (
  context: OperationContext,
  vbd: NewVbd,
  taskRef?: string,
): Promise<string> => {
  const { vdiUuid, type, mode } = vbd
  requireVmStays(context, vbd.vmUuid)
  if (vdiUuid !== null) requireVdiStays(context, vdiUuid)
  if (type === 'CD' && mode !== 'RO') throw new AppError('VBD_CDS_MUST_BE_READONLY', [])
  if (vdiUuid === null && type !== 'CD') {
    throw new AppError('VBD_NOT_REMOVABLE_MEDIA', ['in constructor'])
  }
  if (vdiUuid !== null && mode === 'RW' && (await findVdi(context, vdiUuid)).readOnly) {
    throw vdiReadOnly(vdiUuid)
  }
  return (await context.catalog.vbds.create(vbd, taskRef)).uuid
}
