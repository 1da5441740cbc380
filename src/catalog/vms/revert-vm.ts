// VM.revert as one transaction: the VM gets its fields of then, clones of the disks of the snapshot
// and its interfaces; the disks that these are snapshots of go.

import { AppError } from '../../errors.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { VdiRow } from '../vdis.ts'
import { removeVdis } from '../vdis.ts'
import type { DerivedRows } from './derive-vm.ts'
import { deriveVdi, findVdi, vbdHasDisk, ofVm } from './derive-vm.ts'
import { insertVbd, vbdsOf } from './vbds.ts'
import { insertVif, vifsOf } from './vifs.ts'
import type { VmRow } from './vm-rows.ts'
import { insertVm, requireVm } from './vm-rows.ts'

export interface Reverting extends Pick<DerivedRows, 'vdi'> {
  /** Called for each disk that is to go. @throws where it may not */
  readonly replaced: (vdi: VdiRow) => void
}

/** As Vms.revert. */
export const revertVm = async (
  transaction: Transaction,
  snapshotUuid: string,
  rows: Reverting,
  now: () => Date,
): Promise<string[]> => {
  const { db } = transaction
  const snapshot = await requireVm(db, snapshotUuid)
  const vm = await restoreFields(transaction, snapshot, now)
  const old = await vbdsOf(db, vm.uuid)
  const oldDisks = new Set(old.filter(vbdHasDisk).map(({ vdiUuid }) => vdiUuid))
  await transaction.remove(
    'vbds',
    old.map(({ uuid }) => uuid),
  )
  const gone: VdiRow[] = []
  for (const vbd of await vbdsOf(db, snapshotUuid)) {
    let { vdiUuid } = vbd
    if (vbdHasDisk(vbd)) {
      vdiUuid = await deriveVdi(transaction, vbd.vdiUuid, rows, now)
      const replaced = await followClone(transaction, vbd.vdiUuid, vdiUuid)
      if (replaced !== undefined && oldDisks.delete(replaced.uuid)) gone.push(replaced)
    }
    await insertVbd(transaction, ofVm({ ...vbd, vdiUuid }, vm), now)
  }
  const interfaces = (await vifsOf(db, vm.uuid)).map(({ uuid }) => uuid)
  await transaction.remove('vifs', interfaces)
  for (const vif of await vifsOf(db, snapshotUuid)) await insertVif(transaction, ofVm(vif, vm), now)
  for (const vdi of gone) rows.replaced(vdi)
  return removeVdis(transaction, gone)
}

/** @throws AppError OPERATION_NOT_ALLOWED unless it is a snapshot */
const restoreFields = async (
  transaction: Transaction,
  snapshot: VmRow,
  now: () => Date,
): Promise<Pick<VmRow, 'uuid'>> => {
  const { uuid: parentUuid, snapshotOfUuid, metadata, tags } = snapshot
  if (!snapshot.isSnapshot || snapshotOfUuid === null || metadata === null) {
    throw new AppError('OPERATION_NOT_ALLOWED', [`The VM ${parentUuid} is not a snapshot`])
  }
  const fields = { ...metadata, parentUuid }
  if (!(await transaction.update('vms', snapshotOfUuid, fields))) {
    await insertVm(transaction, { ...fields, tags, uuid: snapshotOfUuid }, now, snapshot)
  }
  return { uuid: snapshotOfUuid }
}

/**
 * All snapshots of the disk that was snapshotted become those of the clone, so that changed blocks
 * and migrations go on.
 * @returns that disk, where it is still there
 */
const followClone = async (
  transaction: Transaction,
  snapshotUuid: string,
  cloneUuid: string,
): Promise<VdiRow | undefined> => {
  const { db } = transaction
  const { snapshotOfUuid } = await findVdi(db, snapshotUuid)
  const snapshots = snapshotOfUuid === null ? [snapshotUuid] : await snapshotsOf(db, snapshotOfUuid)
  for (const uuid of snapshots) {
    await transaction.update('vdis', uuid, { snapshotOfUuid: cloneUuid })
  }
  return snapshotOfUuid === null ? undefined : findVdi(db, snapshotOfUuid)
}

const snapshotsOf = async (db: Queries, uuid: string): Promise<string[]> => {
  const rows = await db
    .selectFrom('vdis')
    .select('uuid')
    .where('snapshotOfUuid', '=', uuid)
    .execute()
  return rows.map((row) => row.uuid)
}
