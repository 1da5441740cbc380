// What may be done with a VDI now, and what is being done with it, in XenAPI's words.

import { refToUuid, toRef } from '../refs.ts'
import { METADATA_ONLY } from '../catalog/schema.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { LeaseOperation } from '../transfer/leases.ts'

/** Who writes into a VDI or moves it. */
export interface VdiUse {
  /** The reference of a task, or words. */
  readonly holder: string
  readonly operation: LeaseOperation
}

/** Reads and snapshots need no lease. All other operations need the VDI for themselves. */
export const allowedOperations = (vdi: VdiRow, use: VdiUse | undefined): string[] => {
  const ending = ['update', 'forget', 'destroy']
  if (vdi.type === METADATA_ONLY) {
    return use === undefined ? ['list_changed_blocks', ...ending] : ['list_changed_blocks']
  }
  const reading = ['clone', 'copy', 'list_changed_blocks']
  const isMoving = use?.operation === 'mirror' || use?.operation === 'migrate_send'
  const always = isMoving ? reading : ['snapshot', ...reading]
  if (use !== undefined) return always
  const isWritable = !vdi.readOnly && !vdi.isSnapshot
  return [
    ...always,
    ...(isWritable ? ['resize', 'resize_online'] : []),
    // A snapshot moves with its disk.
    ...(vdi.snapshotOfUuid === null ? ['mirror'] : []),
    ...(isWritable ? [vdi.cbtEnabled ? 'disable_cbt' : 'enable_cbt'] : []),
    ...(vdi.isSnapshot && vdi.cbtEnabled ? ['data_destroy'] : []),
    ...ending,
  ]
}

/** By task. XenAPI has no word for an import. */
export const currentOperations = (use: VdiUse | undefined): Record<string, string> => {
  if (use === undefined || use.operation === 'import') return {}
  const task = refToUuid(use.holder)
  // XenAPI says the same of a disk that moves with its VM.
  const operation = use.operation === 'migrate_send' ? 'mirror' : use.operation
  return task === undefined ? {} : { [toRef(task)]: operation }
}
