// The fields of a VM as an archive of machines holds them, checked like those that a client gives.

import type { ArchivedMap } from '../archives/machines.ts'
import type { VmSetting } from '../catalog/vms/vm-tables.ts'
import { AppError } from '../errors.ts'
import { vmSettings } from './classes/vm-settings.ts'

/** They name objects of the server that wrote them, or what ran there. */
const notTaken: readonly string[] = [
  'affinity',
  'suspend_SR',
  'last_booted_record',
  'last_boot_CPU_flags',
  'memory_overhead',
  'transportable_snapshot_id',
]

/**
 * Fields that this server does not know are left out: it could not show them.
 * @returns `unread`: the names of those that are none of their type
 */
export const archivedSettings = (
  fields: ArchivedMap,
): { settings: Readonly<Record<string, VmSetting>>; unread: readonly string[] } => {
  const settings: [string, VmSetting][] = []
  const unread: string[] = []
  for (const { name, type } of vmSettings) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (value === undefined || value === null || notTaken.includes(name)) continue
    try {
      settings.push([name, type.fromWire(value, name)])
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      unread.push(name)
    }
  }
  return { settings: Object.fromEntries(settings), unread }
}
