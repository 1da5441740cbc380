// The row of a VDI that is made from another: which fields come along.

import type { VdiRow } from '../../catalog/vdis.ts'
import { requireData } from '../../store/reading/require-data.ts'

/**
 * All of a row that is not its own.
 * @throws AppError VDI_INCOMPATIBLE_TYPE for one whose data was destroyed
 */
export const sameContent = (source: VdiRow): Omit<VdiRow, 'uuid' | 'createdAt'> => {
  requireData(source)
  const { uuid: _uuid, createdAt: _createdAt, ...rest } = source
  return rest
}

/** For a VDI that can be written to unless the one it is made from was made read-only. */
export const notASnapshot = ({ isSnapshot, readOnly }: VdiRow) => ({
  readOnly: readOnly && !isSnapshot,
  isSnapshot: false,
  snapshotOfUuid: null,
  snapshotTime: null,
  // Clients ask for it anew: what they remember is the other disk.
  cbtEnabled: false,
})
