// Nothing of a VM changes while it is on its way elsewhere: the change would be lost.

import { otherOperation } from '../../object-errors.ts'
import type { OperationContext } from '../context.ts'

/** @throws AppError OTHER_OPERATION_IN_PROGRESS while it is moved */
export const requireVmStays = (
  { vmLeases }: Pick<OperationContext, 'vmLeases'>,
  vmUuid: string,
): void => {
  const holder = vmLeases.holder(vmUuid)
  if (holder === undefined) return
  throw otherOperation('VM', vmUuid, `The VM ${vmUuid} is being moved by ${holder}`)
}

/** The same of the record of a disk that moves with its VM. */
export const requireVdiStays = (
  { leases }: Pick<OperationContext, 'leases'>,
  vdiUuid: string,
): void => {
  if (leases.operation(vdiUuid) !== 'migrate_send') return
  const found = `The VDI ${vdiUuid} is being moved by ${leases.holder(vdiUuid)}`
  throw otherOperation('VDI', vdiUuid, found)
}
