// What may be done with a VM and its devices, in XenAPI's words. None ever runs.

import type { VmRow } from '../catalog/vms/vm-rows.ts'

/** Blocked ones are left out, as in XenServer. */
export const allowedVmOperations = (vm: VmRow): string[] => {
  const { blocked_operations: blocked } = vm.settings
  const names = typeof blocked === 'object' && blocked !== null ? Object.keys(blocked) : []
  return operationsOf(vm).filter((operation) => !names.includes(operation))
}

const operationsOf = ({ isSnapshot, isTemplate }: VmRow): string[] => {
  const always = ['clone', 'copy', 'destroy']
  if (isSnapshot) return ['revert', ...always]
  return isTemplate ? [...always, 'snapshot', 'provision'] : ['snapshot', ...always]
}
