// VBDs: which VDI is which disk of a VM. They go with their VM and with their VDI.

import { randomUUID } from 'node:crypto'
import { deviceExists, handleInvalid } from '../../object-errors.ts'
import { objectBounds, requireWithin } from '../bounds.ts'
import type { Database } from '../database.ts'
import type { VbdTable } from './vm-tables.ts'
import type { TaskOutcomes } from '../tasks/task-outcome.ts'
import type { Queries, Transaction } from '../transaction.ts'
import { byDevice, freeDevices } from './devices.ts'

export type VbdRow = Readonly<VbdTable>

export type VbdChanges = Partial<
  Pick<
    VbdRow,
    | 'userdevice'
    | 'bootable'
    | 'mode'
    | 'type'
    | 'unpluggable'
    | 'otherConfig'
    | 'qosAlgorithmType'
    | 'qosAlgorithmParams'
  >
>

/** `userdevice` may be `autodetect`: the first that is free. */
export type NewVbd = Omit<VbdRow, 'uuid' | 'createdAt'>

export interface Vbds {
  /**
   * @throws AppError HANDLE_INVALID for a VM or a VDI that is not there; DEVICE_ALREADY_EXISTS;
   *   INVALID_VALUE for a field that is too large; what TaskOutcomes.succeed throws
   */
  create(vbd: NewVbd, taskRef?: string): Promise<VbdRow>

  get(uuid: string): Promise<VbdRow | undefined>

  /** Of all VMs, in the order of their devices. */
  list(): Promise<VbdRow[]>

  /** Of one VM, in the order of their devices. */
  ofVm(vmUuid: string): Promise<VbdRow[]>

  ofVdi(vdiUuid: string): Promise<VbdRow[]>

  /** @throws AppError HANDLE_INVALID; DEVICE_ALREADY_EXISTS; INVALID_VALUE; what `change` throws */
  update(uuid: string, change: (vbd: VbdRow) => VbdChanges): Promise<void>

  /** @throws AppError HANDLE_INVALID */
  destroy(uuid: string, taskRef?: string): Promise<void>
}

export const createVbds = (database: Database, now: () => Date, outcomes: TaskOutcomes): Vbds => ({
  create: (vbd, taskRef) =>
    database.transaction(async (transaction) => {
      const row = await insertVbd(transaction, vbd, now)
      await outcomes.succeed(transaction, taskRef, row.uuid)
      return row
    }),
  get: (uuid) =>
    database.db.selectFrom('vbds').selectAll().where('uuid', '=', uuid).executeTakeFirst(),
  list: async () =>
    (await database.db.selectFrom('vbds').selectAll().execute()).toSorted(byDevice(userdevice)),
  ofVm: (vmUuid) => vbdsOf(database.db, vmUuid),
  ofVdi: (vdiUuid) =>
    database.db.selectFrom('vbds').selectAll().where('vdiUuid', '=', vdiUuid).execute(),
  update: (uuid, change) =>
    database.transaction(async (transaction) => {
      const vbd = await requireVbd(transaction.db, uuid)
      const changes = change(vbd)
      requireWithin(objectBounds, changes, vbd)
      if (Object.keys(changes).length === 0) return
      if (changes.userdevice !== undefined && changes.userdevice !== vbd.userdevice) {
        await requireFree(transaction.db, vbd.vmUuid, changes.userdevice)
      }
      await transaction.update('vbds', uuid, changes)
    }),
  destroy: (uuid, taskRef) =>
    database.transaction(async (transaction) => {
      await outcomes.succeed(transaction, taskRef)
      await requireVbd(transaction.db, uuid)
      await transaction.remove('vbds', [uuid])
    }),
})

const userdevice = (vbd: VbdRow): string => vbd.userdevice

/** As Vbds.ofVm. */
export const vbdsOf = async (db: Queries, vmUuid: string): Promise<VbdRow[]> =>
  (await db.selectFrom('vbds').selectAll().where('vmUuid', '=', vmUuid).execute()).toSorted(
    byDevice(userdevice),
  )

/** As Vbds.create, inside a transaction of another. */
export const insertVbd = async (
  transaction: Transaction,
  vbd: NewVbd,
  now: () => Date,
): Promise<VbdRow> => {
  const { db } = transaction
  requireWithin(objectBounds, vbd)
  await requireRow(db, 'vms', 'VM', vbd.vmUuid)
  if (vbd.vdiUuid !== null) await requireVdi(db, vbd.vdiUuid)
  const used = (await vbdsOf(db, vbd.vmUuid)).map(userdevice)
  const device = vbd.userdevice === 'autodetect' ? freeDevices(used)[0] : vbd.userdevice
  if (device === undefined || used.includes(device)) throw deviceExists(device ?? vbd.userdevice)
  const row = { ...vbd, userdevice: device, uuid: randomUUID(), createdAt: now() }
  await transaction.insert('vbds', row)
  return row
}

const requireFree = async (db: Queries, vmUuid: string, device: string): Promise<void> => {
  const taken = (await vbdsOf(db, vmUuid)).some((vbd) => vbd.userdevice === device)
  if (taken) throw deviceExists(device)
}

export const requireRow = async (
  db: Queries,
  table: 'vms' | 'networks',
  className: string,
  uuid: string,
): Promise<void> => {
  // All of them have a uuid, which Kysely's types cannot tell.
  const query = db.selectFrom(table as 'vms').select('uuid')
  const row = await query.where('uuid', '=', uuid).executeTakeFirst()
  if (row === undefined) throw handleInvalid(className, uuid)
}

/** One that a move is bringing is not here yet. */
const requireVdi = async (db: Queries, uuid: string): Promise<void> => {
  const row = await db
    .selectFrom('vdis')
    .select('uuid')
    .where('uuid', '=', uuid)
    .where('incomingMoveUuid', 'is', null)
    .executeTakeFirst()
  if (row === undefined) throw handleInvalid('VDI', uuid)
}

const requireVbd = async (db: Queries, uuid: string): Promise<VbdRow> => {
  const vbd = await db.selectFrom('vbds').selectAll().where('uuid', '=', uuid).executeTakeFirst()
  if (vbd === undefined) throw handleInvalid('VBD', uuid)
  return vbd
}
