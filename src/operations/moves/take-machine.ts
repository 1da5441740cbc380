// Holds a VM with its snapshots and disks while it is moved: nothing of it changes.

import { otherOperation } from '../../object-errors.ts'
import type { OperationContext } from '../context.ts'
import { findVm } from '../vm/find-vm.ts'
import type { Machine } from './machine.ts'
import { readMachine } from './machine.ts'

interface TakenMachine {
  /** @throws AppError OTHER_OPERATION_IN_PROGRESS where one came meanwhile that is not held */
  readonly requireAll: (machine: Machine) => void
  readonly release: () => void
}

/** @throws AppError HANDLE_INVALID; OTHER_OPERATION_IN_PROGRESS, holding nothing then */
export const takeMachine = async (
  context: OperationContext,
  vmUuid: string,
  holder: string,
): Promise<TakenMachine> => {
  const machine = await readMachine(context, await findVm(context, vmUuid, 'migrate_send'))
  const vms = machine.members.map(({ vm }) => vm.uuid)
  const release = takeAll(context, { vms, vdis: [...machine.vdis.keys()] }, holder)
  return {
    requireAll({ members, vdis }) {
      const isSame =
        members.every(({ vm }) => vms.includes(vm.uuid)) &&
        [...vdis.keys()].every((uuid) => machine.vdis.has(uuid))
      if (isSame) return
      throw otherOperation('VM', vmUuid, `The VM ${vmUuid} got a snapshot or a disk meanwhile`)
    },
    release,
  }
}

/**
 * @returns gives all of them back
 * @throws AppError OTHER_OPERATION_IN_PROGRESS, holding none, where one is taken
 */
export const takeAll = (
  { leases, vmLeases }: Pick<OperationContext, 'leases' | 'vmLeases'>,
  { vms, vdis }: { readonly vms: readonly string[]; readonly vdis: readonly string[] },
  holder: string,
): (() => void) => {
  const taken: (() => void)[] = []
  const release = (): void => {
    for (const giveBack of taken) giveBack()
  }
  try {
    for (const uuid of vms) taken.push(vmLeases.take(uuid, holder, 'migrate_send'))
    for (const uuid of vdis) taken.push(leases.take(uuid, holder, 'migrate_send'))
    return release
  } catch (error) {
    release()
    throw error
  }
}
