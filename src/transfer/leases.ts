// Who writes into which VDI: one import at a time.

import { AppError } from '../errors.ts'

export interface Leases {
  /**
   * Takes the VDI for writing; the returned function gives it back (idempotent).
   * @param holder what a person is told who finds it taken
   * @throws AppError OTHER_OPERATION_IN_PROGRESS while another holds it
   */
  take(vdiUuid: string, holder: string): () => void
  /** Who holds the VDI; undefined for nobody. */
  holder(vdiUuid: string): string | undefined
}

/** @param changed told when the VDI is taken and when it is given back */
export const createLeases = (changed: (vdiUuid: string) => void = () => {}): Leases => {
  const holders = new Map<string, string>()
  return {
    take(vdiUuid, holder) {
      const other = holders.get(vdiUuid)
      if (other !== undefined) {
        throw new AppError('OTHER_OPERATION_IN_PROGRESS', ['VDI', vdiUuid], {
          message: `The VDI ${vdiUuid} is being written by ${other}`,
        })
      }
      holders.set(vdiUuid, holder)
      changed(vdiUuid)
      let released = false
      return () => {
        if (released) return
        released = true
        holders.delete(vdiUuid)
        changed(vdiUuid)
      }
    },
    holder: (vdiUuid) => holders.get(vdiUuid),
  }
}
