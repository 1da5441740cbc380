// VMs: records that name disks and networks. What is made of a VM with its disks, a snapshot, a
// clone or a copy, is one transaction (derive-vm.ts), and so is a revert (revert-vm.ts).

import { objectBounds, requireWithin } from '../bounds.ts'
import type { Database } from '../database.ts'
import type { TaskOutcomes } from '../tasks/task-outcome.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { CopiedVm, DerivedRows } from './derive-vm.ts'
import { deriveVm, insertCopy } from './derive-vm.ts'
import type { NewMachines } from './insert-machines.ts'
import { insertMachines } from './insert-machines.ts'
import type { Reverting } from './revert-vm.ts'
import { revertVm } from './revert-vm.ts'
import type { NewVm, VmRow } from './vm-rows.ts'
import { findVm, insertVm, requireVm } from './vm-rows.ts'

export type VmChanges = Partial<
  Pick<VmRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'tags' | 'settings' | 'isTemplate'>
>

/**
 * `taskRef` is the task that the deed ends, with it or not at all: what has one throws what
 * TaskOutcomes.succeed throws, and has changed nothing then.
 */
export interface Vms {
  /** @throws AppError INVALID_VALUE for a field that is too large */
  create(vm: NewVm, taskRef?: string): Promise<VmRow>

  /**
   * Makes a VM out of another as it is at this moment, with VDIs made out of its disks: with
   * nothing in between reads all rows and writes the new ones.
   * @throws AppError HANDLE_INVALID if the source has gone; what `rows` throw
   */
  derive(sourceUuid: string, rows: DerivedRows, taskRef?: string): Promise<VmRow>

  /**
   * A VM whose disks were copied: their layers become content and all rows appear at once.
   * @throws AppError HANDLE_INVALID for what has gone meanwhile
   */
  createCopy(copy: CopiedVm, taskRef?: string): Promise<VmRow>

  /**
   * VMs that an archive brought, with their disks: all of them appear at once.
   * @param made the uuids of what is the result of the task
   * @throws AppError DUPLICATE_VM; HANDLE_INVALID for what has gone meanwhile
   */
  createMachines(
    machines: NewMachines,
    taskRef: string | undefined,
    made: string | readonly string[],
  ): Promise<void>

  /**
   * The VM of a snapshot becomes what it was: its disks clones of those of the snapshot, and the
   * disks that these were snapshots of go. A VM that has gone is made again.
   * @returns the storage repositories of the disks that went
   * @throws AppError HANDLE_INVALID; OPERATION_NOT_ALLOWED for what is no snapshot; what `rows`
   *   throw
   */
  revert(snapshotUuid: string, rows: Reverting, taskRef?: string): Promise<string[]>

  get(uuid: string): Promise<VmRow | undefined>

  /** In the order they were made. */
  list(): Promise<VmRow[]>

  /** The VMs whose `snapshotOfUuid` is this one, in the order they were made. */
  snapshotsOf(uuid: string): Promise<VmRow[]>

  /** The VMs whose `parentUuid` is this one. */
  childrenOf(uuid: string): Promise<VmRow[]>

  /**
   * Reads the row, asks for the changes and writes them, with nothing in between.
   * @throws AppError HANDLE_INVALID if the VM has gone; INVALID_VALUE for a field that is too
   *   large; what `change` throws
   */
  update(uuid: string, change: (vm: VmRow) => VmChanges): Promise<void>

  /**
   * With its VBDs and VIFs; the VDIs stay. Its children become those of its parent.
   * @throws AppError HANDLE_INVALID if it has gone
   */
  destroy(uuid: string, taskRef?: string): Promise<void>
}

export const createVms = (database: Database, now: () => Date, outcomes: TaskOutcomes): Vms => {
  const made = async (
    transaction: Transaction,
    taskRef: string | undefined,
    vm: VmRow,
  ): Promise<VmRow> => {
    await outcomes.succeed(transaction, taskRef, vm.uuid)
    return requireVm(transaction.db, vm.uuid)
  }
  return {
    create: (vm, taskRef) =>
      database.transaction(async (transaction) =>
        made(transaction, taskRef, await insertVm(transaction, vm, now)),
      ),
    derive: (sourceUuid, rows, taskRef) =>
      database.transaction(async (transaction) =>
        made(transaction, taskRef, await deriveVm(transaction, sourceUuid, rows, now)),
      ),
    createCopy: (copy, taskRef) =>
      database.transaction(async (transaction) =>
        made(transaction, taskRef, await insertCopy(transaction, copy, now)),
      ),
    createMachines: (machines, taskRef, made) =>
      database.transaction(async (transaction) => {
        await insertMachines(transaction, machines, now)
        await outcomes.succeed(transaction, taskRef, made)
      }),
    revert: (snapshotUuid, rows, taskRef) =>
      database.transaction(async (transaction) => {
        await outcomes.succeed(transaction, taskRef)
        return revertVm(transaction, snapshotUuid, rows, now)
      }),
    get: (uuid) => findVm(database.db, uuid),
    list: () => inOrder(database.db).execute(),
    snapshotsOf: (uuid) => inOrder(database.db).where('snapshotOfUuid', '=', uuid).execute(),
    childrenOf: (uuid) => inOrder(database.db).where('parentUuid', '=', uuid).execute(),
    update: (uuid, change) =>
      database.transaction(async (transaction) => {
        const vm = await requireVm(transaction.db, uuid)
        const changes = change(vm)
        requireWithin(objectBounds, changes, vm)
        if (Object.keys(changes).length === 0) return
        await transaction.update('vms', uuid, changes)
      }),
    destroy: (uuid, taskRef) =>
      database.transaction(async (transaction) => {
        await outcomes.succeed(transaction, taskRef)
        const { parentUuid } = await requireVm(transaction.db, uuid)
        const children = await inOrder(transaction.db).where('parentUuid', '=', uuid).execute()
        for (const child of children) await transaction.update('vms', child.uuid, { parentUuid })
        await transaction.remove('vms', [uuid])
      }),
  }
}

const inOrder = (db: Queries) =>
  db.selectFrom('vms').selectAll().orderBy('createdAt').orderBy('uuid')
