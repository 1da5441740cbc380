// VIFs: which network is which interface of a VM. They go with their VM.

import { randomUUID } from 'node:crypto'
import { deviceExists, handleInvalid } from '../../object-errors.ts'
import { objectBounds, requireWithin } from '../bounds.ts'
import type { Database } from '../database.ts'
import type { VifTable } from './vm-tables.ts'
import type { TaskOutcomes } from '../tasks/task-outcome.ts'
import type { Queries, Transaction } from '../transaction.ts'
import { byDevice, freeInterfaces } from './devices.ts'
import { requireRow } from './vbds.ts'

export type VifRow = Readonly<VifTable>

export type VifChanges = Partial<
  Pick<
    VifRow,
    | 'lockingMode'
    | 'ipv4Allowed'
    | 'ipv6Allowed'
    | 'otherConfig'
    | 'qosAlgorithmType'
    | 'qosAlgorithmParams'
  >
>

/** `device` may be `autodetect`: the first that is free. */
export type NewVif = Omit<VifRow, 'uuid' | 'createdAt'>

export interface Vifs {
  /**
   * @throws AppError HANDLE_INVALID for a VM or a network that is not there;
   *   DEVICE_ALREADY_EXISTS; INVALID_VALUE for a field that is too large; what
   *   TaskOutcomes.succeed throws
   */
  create(vif: NewVif, taskRef?: string): Promise<VifRow>

  get(uuid: string): Promise<VifRow | undefined>

  /** Of all VMs, in the order of their devices. */
  list(): Promise<VifRow[]>

  /** Of one VM, in the order of their devices. */
  ofVm(vmUuid: string): Promise<VifRow[]>

  ofNetwork(networkUuid: string): Promise<VifRow[]>

  /** @throws AppError HANDLE_INVALID; INVALID_VALUE; what `change` throws */
  update(uuid: string, change: (vif: VifRow) => VifChanges): Promise<void>

  /** @throws AppError HANDLE_INVALID */
  destroy(uuid: string, taskRef?: string): Promise<void>
}

export const createVifs = (database: Database, now: () => Date, outcomes: TaskOutcomes): Vifs => ({
  create: (vif, taskRef) =>
    database.transaction(async (transaction) => {
      const row = await insertVif(transaction, vif, now)
      await outcomes.succeed(transaction, taskRef, row.uuid)
      return row
    }),
  get: (uuid) =>
    database.db.selectFrom('vifs').selectAll().where('uuid', '=', uuid).executeTakeFirst(),
  list: async () =>
    (await database.db.selectFrom('vifs').selectAll().execute()).toSorted(byDevice(deviceOf)),
  ofVm: (vmUuid) => vifsOf(database.db, vmUuid),
  ofNetwork: (networkUuid) =>
    database.db.selectFrom('vifs').selectAll().where('networkUuid', '=', networkUuid).execute(),
  update: (uuid, change) =>
    database.transaction(async (transaction) => {
      const vif = await requireVif(transaction.db, uuid)
      const changes = change(vif)
      requireWithin(objectBounds, changes, vif)
      if (Object.keys(changes).length === 0) return
      await transaction.update('vifs', uuid, changes)
    }),
  destroy: (uuid, taskRef) =>
    database.transaction(async (transaction) => {
      await outcomes.succeed(transaction, taskRef)
      await requireVif(transaction.db, uuid)
      await transaction.remove('vifs', [uuid])
    }),
})

const deviceOf = ({ device }: VifRow): string => device

/** As Vifs.ofVm. */
export const vifsOf = async (db: Queries, vmUuid: string): Promise<VifRow[]> =>
  (await db.selectFrom('vifs').selectAll().where('vmUuid', '=', vmUuid).execute()).toSorted(
    byDevice(deviceOf),
  )

/** As Vifs.create, inside a transaction of another. */
export const insertVif = async (
  transaction: Transaction,
  vif: NewVif,
  now: () => Date,
): Promise<VifRow> => {
  const { db } = transaction
  requireWithin(objectBounds, vif)
  await requireRow(db, 'vms', 'VM', vif.vmUuid)
  await requireRow(db, 'networks', 'network', vif.networkUuid)
  const used = (await vifsOf(db, vif.vmUuid)).map(deviceOf)
  const device = vif.device === 'autodetect' ? freeInterfaces(used)[0] : vif.device
  if (device === undefined || used.includes(device)) throw deviceExists(device ?? vif.device)
  const row = { ...vif, device, uuid: randomUUID(), createdAt: now() }
  await transaction.insert('vifs', row)
  return row
}

const requireVif = async (db: Queries, uuid: string): Promise<VifRow> => {
  const vif = await db.selectFrom('vifs').selectAll().where('uuid', '=', uuid).executeTakeFirst()
  if (vif === undefined) throw handleInvalid('VIF', uuid)
  return vif
}
