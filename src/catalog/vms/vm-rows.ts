// The rows of VMs: how one is found, and made.

import { randomUUID } from 'node:crypto'
import { handleInvalid } from '../../object-errors.ts'
import { objectBounds, requireWithin } from '../bounds.ts'
import type { VmTable } from './vm-tables.ts'
import type { Queries, Transaction } from '../transaction.ts'

export type VmRow = Readonly<VmTable>

/** All but the name have a default: nothing, false, empty. */
export type NewVm = Partial<Omit<VmTable, 'createdAt'>> & Pick<VmTable, 'nameLabel'>

export const findVm = (db: Queries, uuid: string): Promise<VmRow | undefined> =>
  db.selectFrom('vms').selectAll().where('uuid', '=', uuid).executeTakeFirst()

export const requireVm = async (db: Queries, uuid: string): Promise<VmRow> => {
  const vm = await findVm(db, uuid)
  if (vm === undefined) throw handleInvalid('VM', uuid)
  return vm
}

/** As Vms.create, inside a transaction of another. @param source its fields may be as large */
export const insertVm = async (
  transaction: Transaction,
  vm: NewVm,
  now: () => Date,
  source?: VmRow,
): Promise<VmRow> => {
  requireWithin(objectBounds, vm, source)
  const row = { ...defaults, ...vm, uuid: vm.uuid ?? randomUUID(), createdAt: now() }
  await transaction.insert('vms', row)
  return row
}

const defaults = {
  nameDescription: '',
  otherConfig: {},
  isTemplate: false,
  isSnapshot: false,
  snapshotOfUuid: null,
  snapshotTime: null,
  parentUuid: null,
  metadata: null,
  settings: {},
  tags: [],
} as const satisfies Omit<VmRow, 'uuid' | 'nameLabel' | 'createdAt'>
