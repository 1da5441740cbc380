// Whether a VDI can be read: of one whose data was destroyed only the map of its blocks is left.

import { METADATA_ONLY } from '../../catalog/schema.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import { vdiIncompatibleType } from '../../object-errors.ts'

/** @throws AppError VDI_INCOMPATIBLE_TYPE [VDI, type] for one whose data was destroyed */
export const requireData = ({ uuid, type }: VdiRow): void => {
  if (type !== METADATA_ONLY) return
  const message = `The data of the VDI ${uuid} was destroyed: it tells only what has changed`
  throw vdiIncompatibleType(uuid, type, message)
}
