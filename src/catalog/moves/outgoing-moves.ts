// VMs on their way to other servers, as their source knows them: enough to learn after a restart
// what the destination decided, and to act on it.

import { otherOperation } from '../../object-errors.ts'
import type { Database } from '../database.ts'
import { among } from '../sqlite/among.ts'
import type { VmTable } from '../vms/vm-tables.ts'
import type { OutgoingMoveTable, SentVdi } from './move-tables.ts'
import type { TaskOutcomes } from '../tasks/task-outcome.ts'
import { resultOf } from '../tasks/task-outcome.ts'
import type { Transaction } from '../transaction.ts'
import { removeVdis } from '../vdis.ts'

export type OutgoingMoveRow = Readonly<OutgoingMoveTable>

export interface OutgoingMoves {
  /** @throws AppError OTHER_OPERATION_IN_PROGRESS where the VM is on its way already */
  begin(move: Omit<OutgoingMoveRow, 'state' | 'sentVdis' | 'createdAt'>): Promise<void>

  list(): Promise<OutgoingMoveRow[]>

  /**
   * The destination may commit from now on: what becomes of the VM is for it to say.
   * @param sentVdis all that must be there
   * @throws AppError what TaskOutcomes.requireRunning throws; nothing has changed then
   */
  commit(uuid: string, sentVdis: readonly SentVdi[], taskRef: string | undefined): Promise<void>

  /** Nothing came of it: the VM stays. */
  forget(uuid: string): Promise<void>

  /**
   * The destination has committed: the VM goes with its snapshots and disks, unless it was copied.
   * @param task the one that this ends, with the uuid of the VM at the destination
   * @returns the storage repositories where the disks lay
   */
  finish(
    uuid: string,
    task: { readonly ref: string | undefined; readonly vmUuid: string },
  ): Promise<readonly string[]>
}

export const createOutgoingMoves = (
  database: Database,
  now: () => Date,
  outcomes: TaskOutcomes,
): OutgoingMoves => ({
  begin: (move) =>
    database.transaction(async ({ db }) => {
      const other = await db
        .selectFrom('outgoingMoves')
        .select('uuid')
        .where('vmUuid', '=', move.vmUuid)
        .executeTakeFirst()
      if (other !== undefined) throw otherOperation('VM', move.vmUuid)
      const row = { ...move, state: 'copying' as const, sentVdis: [], createdAt: now() }
      await db.insertInto('outgoingMoves').values(row).execute()
    }),
  list: () => database.db.selectFrom('outgoingMoves').selectAll().orderBy('createdAt').execute(),
  commit: (uuid, sentVdis, taskRef) =>
    database.transaction(async (transaction) => {
      await outcomes.requireRunning(transaction, taskRef)
      await transaction.db
        .updateTable('outgoingMoves')
        .set({ state: 'committing', sentVdis })
        .where('uuid', '=', uuid)
        .execute()
    }),
  forget: (uuid) =>
    database.transaction(async ({ db }) => {
      await db.deleteFrom('outgoingMoves').where('uuid', '=', uuid).execute()
    }),
  finish: (uuid, task) =>
    database.transaction(async (transaction) => {
      await outcomes.conclude(transaction, task.ref, resultOf(task.vmUuid))
      const { db } = transaction
      const move = await db
        .selectFrom('outgoingMoves')
        .selectAll()
        .where('uuid', '=', uuid)
        .executeTakeFirst()
      if (move === undefined) return []
      await db.deleteFrom('outgoingMoves').where('uuid', '=', uuid).execute()
      return move.copies ? [] : removeMachine(transaction, move)
    }),
})

const removeMachine = async (
  transaction: Transaction,
  { vmUuid, vdiUuids }: OutgoingMoveRow,
): Promise<string[]> => {
  const { db } = transaction
  const snapshots = await db
    .selectFrom('vms')
    .select('uuid')
    .where('snapshotOfUuid', '=', vmUuid)
    .where('isSnapshot', '=', true)
    .execute()
  const vms: Pick<VmTable, 'uuid'>[] = [...snapshots, { uuid: vmUuid }]
  await transaction.remove(
    'vms',
    vms.map(({ uuid }) => uuid),
  )
  const vdis = await db
    .selectFrom('vdis')
    .select(['uuid', 'srUuid', 'layerUuid'])
    .where('uuid', 'in', among(vdiUuids))
    .execute()
  return removeVdis(transaction, vdis)
}
