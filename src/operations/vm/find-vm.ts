// Looks up VMs, and says whether something may be done with one.

import { vbdHasDisk } from '../../catalog/vms/derive-vm.ts'
import type { VbdRow } from '../../catalog/vms/vbds.ts'
import type { VmRow } from '../../catalog/vms/vm-rows.ts'
import { AppError } from '../../errors.ts'
import { handleInvalid, otherOperation } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import { findVdi, requireWritableSr } from '../../transfer/find.ts'
import type { OperationContext } from '../context.ts'
import { requireVmStays } from './require-vm-stays.ts'

/**
 * @param operation XenAPI's word for it
 * @throws AppError HANDLE_INVALID; OPERATION_BLOCKED [VM, code] where its `blocked_operations` say
 *   so
 */
export const findVm = async (
  { catalog }: OperationContext,
  uuid: string,
  operation: string,
): Promise<VmRow> => {
  const vm = await catalog.vms.get(uuid)
  if (vm === undefined) throw handleInvalid('VM', uuid)
  const { blocked_operations: blocked } = vm.settings
  const code = typeof blocked === 'object' && blocked !== null ? blocked[operation] : undefined
  if (code !== undefined) throw new AppError('OPERATION_BLOCKED', [toRef(uuid), code])
  return vm
}

/** What a task calls the VM. */
export const nameOfVm = ({ nameLabel, uuid }: VmRow): string =>
  nameLabel === '' ? uuid : nameLabel.slice(0, 200)

/** The same for what changes the VM. @throws AppError OTHER_OPERATION_IN_PROGRESS */
export const findVmToChange = async (
  context: OperationContext,
  uuid: string,
  operation: string,
): Promise<VmRow> => {
  const vm = await findVm(context, uuid, operation)
  requireVmStays(context, uuid)
  return vm
}

/** The VBDs of a VM that have a disk; CDs are none. */
export const disksOf = async ({ catalog }: OperationContext, vmUuid: string) =>
  (await catalog.vbds.ofVm(vmUuid)).filter(vbdHasDisk)

/**
 * That rows may be made on the layers of these disks.
 * @returns their VDIs, checked
 * @throws AppError SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED
 */
export const requireWritableDisks = async (
  context: OperationContext,
  vbds: readonly (VbdRow & { readonly vdiUuid: string })[],
): Promise<ReadonlySet<string>> => {
  for (const { vdiUuid } of vbds) {
    await requireWritableSr(context, (await findVdi(context, vdiUuid)).srUuid)
  }
  return new Set(vbds.map(({ vdiUuid }) => vdiUuid))
}

/** @throws AppError OTHER_OPERATION_IN_PROGRESS for a disk that was attached after the check */
export const requireChecked = (
  vmUuid: string,
  checked: ReadonlySet<string>,
  vdiUuid: string,
): void => {
  if (checked.has(vdiUuid)) return
  const found = `The VM ${vmUuid} was changed meanwhile: it has the disk ${vdiUuid} now`
  throw otherOperation('VM', vmUuid, found)
}
