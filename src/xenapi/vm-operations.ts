// What may be done with a VM now, and what is being done with it, in XenAPI's words. None ever
// runs.

import type { VmRow } from '../catalog/vms/vm-rows.ts'
import { refToUuid, toRef } from '../refs.ts'

/**
 * Blocked ones are left out, as in XenServer.
 * @param mover who moves it: the reference of a task, or words; undefined: nobody
 */
export const allowedVmOperations = (vm: VmRow, mover: string | undefined): string[] => {
  const { blocked_operations: blocked } = vm.settings
  const names = typeof blocked === 'object' && blocked !== null ? Object.keys(blocked) : []
  const operations = mover === undefined ? operationsOf(vm) : reading
  return operations.filter((operation) => !names.includes(operation))
}

/** What goes on while it is moved. */
const reading = ['clone', 'copy', 'export']

const operationsOf = ({ isSnapshot, isTemplate }: VmRow): string[] => {
  const always = [...reading, 'destroy']
  if (isSnapshot) return ['revert', ...always]
  const own = ['snapshot', ...always, 'migrate_send']
  return isTemplate ? [...own, 'provision'] : own
}

/** By task. */
export const currentVmOperations = (mover: string | undefined): Record<string, string> => {
  const task = refToUuid(mover ?? '')
  return task === undefined ? {} : { [toRef(task)]: 'migrate_send' }
}
