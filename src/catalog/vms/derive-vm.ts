// Snapshots, clones and copies of VMs: one transaction makes the VM, its disks, VBDs and VIFs, so
// that a snapshot shows all disks at one point in time.

import { handleInvalid } from '../../object-errors.ts'
import type { SealedLayer } from '../layers/layers.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { NewVdi, VdiRow } from '../vdis.ts'
import { insertVdi } from '../vdis.ts'
import type { VbdRow } from './vbds.ts'
import { insertVbd, vbdsOf } from './vbds.ts'
import type { VifRow } from './vifs.ts'
import { insertVif, vifsOf } from './vifs.ts'
import type { NewVm, VmRow } from './vm-rows.ts'
import { insertVm, requireVm } from './vm-rows.ts'

/** What becomes of each row of a VM. They are called inside the transaction and must not wait. */
export interface DerivedRows {
  vm(source: VmRow): NewVm
  /** Of a disk. CDs are named by the new VM too, and not made anew. */
  vdi(source: VdiRow): NewVdi
  vbd(source: VbdRow): VbdRow
  vif(source: VifRow): VifRow
  /** The new VM becomes the parent of its source, as a snapshot does. */
  readonly becomesParent: boolean
}

/** A VM with new rows and, by VBD, the copy of each disk, whose layer is sealed and held. */
export interface CopiedVm {
  readonly vm: NewVm
  readonly source: VmRow
  /** Those without a disk of their own keep their VDI. */
  readonly vbds: readonly { readonly vbd: VbdRow; readonly disk?: CopiedDisk }[]
  readonly vifs: readonly VifRow[]
}

export interface CopiedDisk {
  readonly vdi: NewVdi & { readonly uuid: string }
  readonly layer: SealedLayer
}

/** As Vms.derive. */
export const deriveVm = async (
  transaction: Transaction,
  sourceUuid: string,
  rows: DerivedRows,
  now: () => Date,
): Promise<VmRow> => {
  const { db } = transaction
  const source = await requireVm(db, sourceUuid)
  const vm = await insertVm(transaction, rows.vm(source), now, source)
  for (const vbd of await vbdsOf(db, sourceUuid)) {
    const vdiUuid = vbdHasDisk(vbd)
      ? await deriveVdi(transaction, vbd.vdiUuid, rows, now)
      : vbd.vdiUuid
    await insertVbd(transaction, ofVm(rows.vbd({ ...vbd, vdiUuid }), vm), now)
  }
  for (const vif of await vifsOf(db, sourceUuid)) {
    await insertVif(transaction, ofVm(rows.vif(vif), vm), now)
  }
  if (rows.becomesParent) await transaction.update('vms', sourceUuid, { parentUuid: vm.uuid })
  return vm
}

/** As Vms.createCopy. */
export const insertCopy = async (
  transaction: Transaction,
  { vm: newVm, source, vbds, vifs }: CopiedVm,
  now: () => Date,
): Promise<VmRow> => {
  const vm = await insertVm(transaction, newVm, now, source)
  for (const { vbd, disk } of vbds) {
    if (disk !== undefined) await insertCopiedDisk(transaction, disk, now)
    const vdiUuid = disk === undefined ? vbd.vdiUuid : disk.vdi.uuid
    await insertVbd(transaction, ofVm({ ...vbd, vdiUuid }, vm), now)
  }
  for (const vif of vifs) await insertVif(transaction, ofVm(vif, vm), now)
  return vm
}

export const insertCopiedDisk = async (
  transaction: Transaction,
  { vdi, layer }: CopiedDisk,
  now: () => Date,
): Promise<void> => {
  const { uuid: layerUuid } = layer
  await insertVdi(transaction, { ...vdi, layerUuid, contentUuid: layerUuid, contentAt: now() }, now)
}

export const vbdHasDisk = (vbd: VbdRow): vbd is VbdRow & { readonly vdiUuid: string } =>
  vbd.type !== 'CD' && vbd.vdiUuid !== null

export const deriveVdi = async (
  transaction: Transaction,
  sourceUuid: string,
  rows: Pick<DerivedRows, 'vdi'>,
  now: () => Date,
): Promise<string> => {
  const source = await findVdi(transaction.db, sourceUuid)
  return (await insertVdi(transaction, rows.vdi(source), now, source)).uuid
}

export const findVdi = async (db: Queries, uuid: string): Promise<VdiRow> => {
  const vdi = await db.selectFrom('vdis').selectAll().where('uuid', '=', uuid).executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
  return vdi
}

/** The same device of another VM. */
export const ofVm = <Row extends VbdRow | VifRow>(
  { uuid: _uuid, createdAt: _createdAt, ...row }: Row,
  { uuid }: Pick<VmRow, 'uuid'>,
): Omit<Row, 'uuid' | 'createdAt'> => ({ ...row, vmUuid: uuid })
