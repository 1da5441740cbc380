// The row of a VDI that is made from another: which fields come along.

import type { NewVdi, VdiRow } from '../../catalog/vdis.ts'
import { otherOperation } from '../../object-errors.ts'
import { requireData } from '../../store/reading/require-data.ts'
import type { Leases } from '../../transfer/leases.ts'

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

/** @throws AppError VDI_INCOMPATIBLE_TYPE for one whose data was destroyed */
export const asSnapshot = (source: VdiRow): NewVdi => ({
  ...sameContent(source),
  // Nothing writes into a snapshot whatever this says; clients make disks from its record.
  readOnly: false,
  isSnapshot: true,
  snapshotOfUuid: source.uuid,
  snapshotTime: new Date(),
})

/** @throws AppError VDI_INCOMPATIBLE_TYPE for one whose data was destroyed */
export const asClone = (source: VdiRow): NewVdi => ({
  ...sameContent(source),
  ...notASnapshot(source),
})

/**
 * A snapshot moves with its disk: one more, in the middle of it, would be left behind.
 * @throws AppError OTHER_OPERATION_IN_PROGRESS
 */
export const requireNotMoving = (leases: Leases, vdiUuid: string): void => {
  const operation = leases.operation(vdiUuid)
  if (operation !== 'mirror' && operation !== 'migrate_send') return
  const found = `The VDI ${vdiUuid} is being moved by ${leases.holder(vdiUuid)}`
  throw otherOperation('VDI', vdiUuid, found)
}
