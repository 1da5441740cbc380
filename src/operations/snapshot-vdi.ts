// Snapshots and clones: a new row that names the same top layer. Costs the same for any disk, waits
// for nobody, and copies nothing.

import type { NewVdi, VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import type { TransferContext } from '../transfer/context.ts'
import { requireData } from '../store/reading/require-data.ts'
import { findVdi, requireWritableSr } from '../transfer/find.ts'

/**
 * What the VDI shows at this moment, which an import that is under way does not change.
 * @param taskRef the task that ends with it
 * @returns the uuid of the snapshot
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, VDI_INCOMPATIBLE_TYPE; OTHER_OPERATION_IN_PROGRESS while the VDI moves
 */
export const snapshotVdi = async (
  context: TransferContext,
  vdiUuid: string,
  taskRef?: string,
): Promise<string> => {
  const { catalog, leases } = context
  await requireKept(context, vdiUuid)
  // A snapshot moves with its disk: one more, in the middle of it, would be left behind.
  if (leases.operation(vdiUuid) === 'mirror') {
    throw new AppError('OTHER_OPERATION_IN_PROGRESS', ['VDI', vdiUuid], {
      message: `The VDI ${vdiUuid} is being moved by ${leases.holder(vdiUuid)}`,
    })
  }
  const rowOf = (source: VdiRow): NewVdi => ({
    ...sameContent(source),
    // Nothing writes into a snapshot whatever this says; clients make disks from its record.
    readOnly: false,
    isSnapshot: true,
    snapshotOfUuid: source.uuid,
    snapshotTime: new Date(),
  })
  const snapshot = await catalog.vdis.derive(vdiUuid, rowOf, taskRef)
  return snapshot.uuid
}

/**
 * A VDI of its own that begins with the content of another, also of a snapshot.
 * @param taskRef the task that ends with it
 * @returns its uuid
 * @throws AppError HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, VDI_INCOMPATIBLE_TYPE
 */
export const cloneVdi = async (
  context: TransferContext,
  vdiUuid: string,
  taskRef?: string,
): Promise<string> => {
  const { catalog } = context
  await requireKept(context, vdiUuid)
  const rowOf = (source: VdiRow): NewVdi => ({ ...sameContent(source), ...notASnapshot(source) })
  const clone = await catalog.vdis.derive(vdiUuid, rowOf, taskRef)
  return clone.uuid
}

/** Where nothing may be written, the files are others': what they show now could not be kept. */
const requireKept = async (context: TransferContext, vdiUuid: string): Promise<void> =>
  requireWritableSr(context, (await findVdi(context, vdiUuid)).srUuid)

/** All of a row that is not its own. */
const sameContent = (source: VdiRow): Omit<VdiRow, 'uuid' | 'createdAt'> => {
  requireData(source)
  const { uuid: _uuid, createdAt: _createdAt, ...rest } = source
  return rest
}

/** For a VDI that is made from this one, and can be written to unless this one was made read-only. */
export const notASnapshot = ({ isSnapshot, readOnly }: VdiRow) => ({
  readOnly: readOnly && !isSnapshot,
  isSnapshot: false,
  snapshotOfUuid: null,
  snapshotTime: null,
  // Clients ask for it anew: what they remember is the other disk.
  cbtEnabled: false,
})
