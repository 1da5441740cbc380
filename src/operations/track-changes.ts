// The use case of VDI.enable_cbt and VDI.disable_cbt: whether the changed blocks of a VDI are to be
// told. Layers tell them anyway; clients ask for it, and look for what they have set.

import { toRef } from '../refs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import type { OperationContext } from './context.ts'
import { vdiIncompatibleType } from '../object-errors.ts'

/** The types of VDI that XenAPI tracks changes of. */
const trackedTypes = ['user', 'system']

/** @throws AppError HANDLE_INVALID; OPERATION_NOT_ALLOWED for a snapshot; VDI_INCOMPATIBLE_TYPE */
export const trackChanges = (
  { catalog }: OperationContext,
  vdiUuid: string,
  cbtEnabled: boolean,
): Promise<void> =>
  catalog.vdis.update(vdiUuid, (vdi) => {
    requireTracked(vdi)
    return vdi.cbtEnabled === cbtEnabled ? {} : { cbtEnabled }
  })

const requireTracked = ({ uuid, isSnapshot, type }: VdiRow): void => {
  if (isSnapshot) throw new AppError('OPERATION_NOT_ALLOWED', [`VDI is a snapshot: ${toRef(uuid)}`])
  if (trackedTypes.includes(type)) return
  const tracked = `changes are tracked of ${trackedTypes.join(' and ')}`
  throw vdiIncompatibleType(uuid, type, `The VDI ${uuid} is of type ${type}; ${tracked}`)
}
