// A VM with all that goes where it goes: its snapshots, its disks and theirs, its devices.

import { METADATA_ONLY } from '../../catalog/schema.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import { vbdHasDisk } from '../../catalog/vms/derive-vm.ts'
import type { VbdRow } from '../../catalog/vms/vbds.ts'
import type { VifRow } from '../../catalog/vms/vifs.ts'
import type { VmRow } from '../../catalog/vms/vm-rows.ts'
import { AppError } from '../../errors.ts'
import { vdiInUse } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import { requireData } from '../../store/reading/require-data.ts'
import { findVdi } from '../../transfer/find.ts'
import type { OperationContext } from '../context.ts'

interface Member {
  readonly vm: VmRow
  readonly vbds: readonly VbdRow[]
  readonly vifs: readonly VifRow[]
}

export interface Machine {
  readonly vm: VmRow
  /** The snapshots in the order they were taken, and the VM last. */
  readonly members: readonly Member[]
  /** By uuid, each once. */
  readonly vdis: ReadonlyMap<string, VdiRow>
}

/**
 * A snapshot whose data was destroyed is not among the disks: there is nothing to move.
 * @throws AppError HANDLE_INVALID; VDI_INCOMPATIBLE_TYPE for a disk without data
 */
export const readMachine = async (context: OperationContext, vm: VmRow): Promise<Machine> => {
  const { catalog } = context
  const snapshots = (await catalog.vms.snapshotsOf(vm.uuid)).filter((other) => other.isSnapshot)
  const members: Member[] = []
  for (const member of [...snapshots, vm]) {
    const vbds = await catalog.vbds.ofVm(member.uuid)
    members.push({ vm: member, vbds, vifs: await catalog.vifs.ofVm(member.uuid) })
  }
  const vdis = new Map<string, VdiRow>()
  for (const { vdiUuid } of members.flatMap(({ vbds }) => vbds.filter(vbdHasDisk))) {
    if (!vdis.has(vdiUuid)) await addFamily(context, await findVdi(context, vdiUuid), vdis)
  }
  for (const vdi of vdis.values()) requireData(vdi)
  return { vm, members, vdis }
}

const addFamily = async (
  { catalog }: OperationContext,
  vdi: VdiRow,
  vdis: Map<string, VdiRow>,
): Promise<void> => {
  const family = [vdi]
  for (const member of family) {
    if (vdis.has(member.uuid)) continue
    vdis.set(member.uuid, member)
    const snapshots = await catalog.vdis.snapshotsOf(member.uuid)
    family.push(...snapshots.filter(({ type }) => type !== METADATA_ONLY))
  }
}

/**
 * That all of it may go.
 * @throws AppError OPERATION_NOT_ALLOWED for a snapshot; VDI_IN_USE for a disk that another VM has,
 *   too; VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION
 */
export const requireMovable = async (
  { catalog }: OperationContext,
  { vm, members, vdis }: Machine,
  copies: boolean,
): Promise<void> => {
  if (vm.isSnapshot) {
    const found = `it is a snapshot of ${vm.snapshotOfUuid} and moves with that`
    throw new AppError('OPERATION_NOT_ALLOWED', [
      `The VM ${vm.uuid} cannot be moved alone: ${found}`,
    ])
  }
  const own = new Set(members.map((member) => member.vm.uuid))
  for (const { uuid, onBoot } of vdis.values()) {
    if (onBoot === 'reset') {
      throw new AppError('VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION', [], {
        message: `The VDI ${uuid} is reset at each boot: it cannot be moved`,
      })
    }
    const other = (await catalog.vbds.ofVdi(uuid)).find(({ vmUuid }) => !own.has(vmUuid))
    if (other !== undefined && !copies) throw vdiInUse(uuid, `the VM ${other.vmUuid}`)
  }
}

/** @throws AppError VDI_CBT_ENABLED for a disk whose blocks are tracked: the track would end */
export const requireNoTracking = (vdis: Iterable<VdiRow>): void => {
  for (const { uuid, cbtEnabled } of vdis) {
    if (cbtEnabled) throw new AppError('VDI_CBT_ENABLED', [toRef(uuid)])
  }
}
