// The one transaction in which a VM that came from another server is here: its VDIs are seen, and
// the rows of the VM and its snapshots are made.

import { AppError } from '../../errors.ts'
import { duplicateVm } from '../../object-errors.ts'
import type { Queries, Transaction } from '../transaction.ts'
import { insertVbd } from '../vms/vbds.ts'
import { insertVif } from '../vms/vifs.ts'
import { findVm, insertVm } from '../vms/vm-rows.ts'

/**
 * As IncomingMoves.commit, for an open move.
 * @returns the uuid of the VM
 */
export const commitMove = async (
  transaction: Transaction,
  moveUuid: string,
  now: () => Date,
): Promise<string> => {
  const { db } = transaction
  const vms = await db
    .selectFrom('incomingVms')
    .selectAll()
    .where('incomingMoveUuid', '=', moveUuid)
    .orderBy('position')
    .execute()
  const vmUuid = vms.at(-1)?.uuid
  if (vmUuid === undefined) {
    throw new AppError('OPERATION_NOT_ALLOWED', [`The move ${moveUuid} brings no VM`])
  }
  await showVdis(transaction, moveUuid)
  for (const { uuid, vm, vbds, vifs } of vms) {
    if ((await findVm(db, uuid)) !== undefined) throw duplicateVm(uuid)
    const snapshotTime = vm.snapshotTime === null ? null : new Date(vm.snapshotTime)
    const parentUuid = await knownParent(db, vm.parentUuid)
    await insertVm(transaction, { ...vm, uuid, snapshotTime, parentUuid }, now)
    for (const vbd of vbds) await insertVbd(transaction, { ...vbd, vmUuid: uuid }, now)
    for (const vif of vifs) await insertVif(transaction, { ...vif, vmUuid: uuid }, now)
  }
  await db.deleteFrom('incomingVms').where('incomingMoveUuid', '=', moveUuid).execute()
  await db
    .updateTable('incomingMoves')
    .set({ state: 'committed', vmUuid })
    .where('uuid', '=', moveUuid)
    .execute()
  return vmUuid
}

const showVdis = async (transaction: Transaction, moveUuid: string): Promise<void> => {
  const vdis = await transaction.db
    .selectFrom('vdis')
    .select('uuid')
    .where('incomingMoveUuid', '=', moveUuid)
    .execute()
  for (const { uuid } of vdis) {
    await transaction.update('vdis', uuid, { incomingMoveUuid: null })
    transaction.touch('VDI', uuid, 'add')
  }
}

/** Snapshots come in the order they were taken, so a parent that is here is here by now. */
const knownParent = async (db: Queries, uuid: string | null): Promise<string | null> =>
  uuid === null || (await findVm(db, uuid)) === undefined ? null : uuid
