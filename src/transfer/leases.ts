// Who writes into which VDI, or moves it: one at a time.

import { otherOperation } from '../object-errors.ts'

/** What a VDI is taken for; all but the import are XenAPI's words. */
export type LeaseOperation = 'import' | 'copy' | 'mirror' | 'resize'

export interface Leases {
  /**
   * Takes the VDI for writing; the returned function gives it back (idempotent).
   * @param holder shown to others who want the VDI: the reference of a task, or words
   * @throws AppError OTHER_OPERATION_IN_PROGRESS while another holds it
   */
  take(vdiUuid: string, holder: string, operation?: LeaseOperation): () => void
  /** The holder of the VDI; undefined if it is free. */
  holder(vdiUuid: string): string | undefined
  /** What it is held for; undefined for nothing. */
  operation(vdiUuid: string): LeaseOperation | undefined
}

const doing: Readonly<Record<LeaseOperation, string>> = {
  import: 'written',
  copy: 'written',
  mirror: 'moved',
  resize: 'resized',
}

/** @param changed told when the VDI is taken and when it is given back */
export const createLeases = (changed: (vdiUuid: string) => void = () => {}): Leases => {
  const leases = new Map<string, { holder: string; operation: LeaseOperation }>()
  return {
    take(vdiUuid, holder, operation = 'import') {
      const other = leases.get(vdiUuid)
      if (other !== undefined) {
        const found = `${doing[other.operation]} by ${other.holder}`
        throw otherOperation('VDI', vdiUuid, `The VDI ${vdiUuid} is being ${found}`)
      }
      leases.set(vdiUuid, { holder, operation })
      changed(vdiUuid)
      let released = false
      return () => {
        if (released) return
        released = true
        leases.delete(vdiUuid)
        changed(vdiUuid)
      }
    },
    holder: (vdiUuid) => leases.get(vdiUuid)?.holder,
    operation: (vdiUuid) => leases.get(vdiUuid)?.operation,
  }
}
