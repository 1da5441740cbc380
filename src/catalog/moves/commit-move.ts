// The one transaction in which a VM that came from another server is here: its VDIs are seen, and
// the rows of the VM and its snapshots are made.

import { AppError } from '../../errors.ts'
import { duplicateVm } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import type { Queries, Transaction } from '../transaction.ts'
import { insertVbd } from '../vms/vbds.ts'
import { insertVif } from '../vms/vifs.ts'
import { removeVdis } from '../vdis.ts'
import { findVm, insertVm } from '../vms/vm-rows.ts'
import type { IncomingMoveTable, SentVdi } from './move-tables.ts'

/**
 * As IncomingMoves.commit, for an open move.
 * @returns the uuid of the VM
 */
export const commitMove = async (
  transaction: Transaction,
  { uuid: moveUuid, invitationUuid }: Pick<IncomingMoveTable, 'uuid' | 'invitationUuid'>,
  sent: readonly SentVdi[],
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
  await showVdis(transaction, moveUuid, sent)
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
  // It lets nothing more in.
  await db
    .deleteFrom('incomingMoves')
    .where('uuid', '=', invitationUuid ?? '')
    .execute()
  return vmUuid
}

/** The source removes its own VDIs after the commit: each that it names must be here, whole. */
const showVdis = async (
  transaction: Transaction,
  moveUuid: string,
  sent: readonly SentVdi[],
): Promise<void> => {
  const hidden = await transaction.db
    .selectFrom('vdis')
    .select(['uuid', 'srUuid', 'layerUuid', 'contentUuid', 'missing'])
    .where('incomingMoveUuid', '=', moveUuid)
    .execute()
  const here = new Map(hidden.map((vdi) => [vdi.uuid, vdi] as const))
  for (const { uuid, content } of sent) {
    const vdi = here.get(uuid)
    if (vdi === undefined || vdi.missing || (vdi.contentUuid ?? '') !== content) {
      const found = vdi === undefined ? 'gone' : vdi.missing ? 'missing' : 'another'
      const message = `The VDI ${uuid} is not here as it was sent: it is ${found}`
      throw new AppError('VDI_MISSING', [toRef(vdi?.srUuid ?? ''), toRef(uuid)], { message })
    }
    await transaction.update('vdis', uuid, { incomingMoveUuid: null })
    transaction.touch('VDI', uuid, 'add')
    transaction.touch('SR', vdi.srUuid, 'mod')
    here.delete(uuid)
  }
  // What a call made whose answer was lost.
  await removeVdis(transaction, [...here.values()])
}

/** Snapshots come in the order they were taken, so a parent that is here is here by now. */
const knownParent = async (db: Queries, uuid: string | null): Promise<string | null> =>
  uuid === null || (await findVm(db, uuid)) === undefined ? null : uuid
