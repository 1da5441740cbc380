// VMs that an archive brought, with their disks: one transaction makes all rows, so that either all
// of it is here or nothing.

import { duplicateVm } from '../../object-errors.ts'
import type { SealedLayer } from '../layers/layers.ts'
import type { Transaction } from '../transaction.ts'
import type { NewVdi } from '../vdis.ts'
import { insertVdi } from '../vdis.ts'
import { insertCopiedDisk } from './derive-vm.ts'
import type { NewVbd } from './vbds.ts'
import { insertVbd } from './vbds.ts'
import type { NewVif } from './vifs.ts'
import { insertVif } from './vifs.ts'
import type { NewVm } from './vm-rows.ts'
import { findVm, insertVm } from './vm-rows.ts'

export interface NewMachines {
  readonly disks: readonly NewMachineDisk[]
  /** Each after its parent. */
  readonly vms: readonly NewMachine[]
}

export interface NewMachineDisk {
  readonly vdi: NewVdi & { readonly uuid: string }
  /** Sealed and held; absent: the disk is empty. */
  readonly layer?: SealedLayer
}

export interface NewMachine {
  readonly vm: NewVm & { readonly uuid: string }
  readonly vbds: readonly Omit<NewVbd, 'vmUuid'>[]
  readonly vifs: readonly Omit<NewVif, 'vmUuid'>[]
}

/** As Vms.createMachines. */
export const insertMachines = async (
  transaction: Transaction,
  { disks, vms }: NewMachines,
  now: () => Date,
): Promise<void> => {
  for (const { vdi, layer } of disks) {
    if (layer === undefined) await insertVdi(transaction, vdi, now)
    else await insertCopiedDisk(transaction, { vdi, layer }, now)
  }
  for (const { vm, vbds, vifs } of vms) {
    const { uuid: vmUuid } = vm
    if ((await findVm(transaction.db, vmUuid)) !== undefined) throw duplicateVm(vmUuid)
    await insertVm(transaction, vm, now)
    for (const vbd of vbds) await insertVbd(transaction, { ...vbd, vmUuid }, now)
    for (const vif of vifs) await insertVif(transaction, { ...vif, vmUuid }, now)
  }
}
