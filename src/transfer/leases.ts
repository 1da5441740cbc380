// Who writes into which VDI, or moves it or a VM: one at a time.

import { otherOperation } from '../object-errors.ts'

/** What a VDI or a VM is taken for; all but the import are XenAPI's words. */
export type LeaseOperation = 'import' | 'copy' | 'mirror' | 'resize' | 'migrate_send'

export interface Leases {
  /**
   * Takes the object; the returned function gives it back (idempotent).
   * @param holder shown to others who want it: the reference of a task, or words
   * @throws AppError OTHER_OPERATION_IN_PROGRESS while another holds it
   */
  take(uuid: string, holder: string, operation?: LeaseOperation): () => void
  /** The holder; undefined if it is free. */
  holder(uuid: string): string | undefined
  /** What it is held for; undefined for nothing. */
  operation(uuid: string): LeaseOperation | undefined
}

const doing: Readonly<Record<LeaseOperation, string>> = {
  import: 'written',
  copy: 'written',
  mirror: 'moved',
  resize: 'resized',
  migrate_send: 'moved to another place',
}

/** @param changed told when the object is taken and when it is given back */
export const createLeases = (
  changed: (uuid: string) => void = () => {},
  className: 'VDI' | 'VM' = 'VDI',
): Leases => {
  const leases = new Map<string, { holder: string; operation: LeaseOperation }>()
  return {
    take(uuid, holder, operation = 'import') {
      const other = leases.get(uuid)
      if (other !== undefined) {
        const found = `${doing[other.operation]} by ${other.holder}`
        throw otherOperation(className, uuid, `The ${className} ${uuid} is being ${found}`)
      }
      leases.set(uuid, { holder, operation })
      changed(uuid)
      let released = false
      return () => {
        if (released) return
        released = true
        leases.delete(uuid)
        changed(uuid)
      }
    },
    holder: (uuid) => leases.get(uuid)?.holder,
    operation: (uuid) => leases.get(uuid)?.operation,
  }
}
