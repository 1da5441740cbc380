// Reads of VDIs whose files others may write: one that has changed since it was found is looked at
// again, and the VDI is opened as it is now.

import type { Catalog } from '../catalog/catalog.ts'
import { handleInvalid } from '../catalog/refs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import { ChangedFileError } from './file-stamp.ts'
import type { Scanner } from './scan-folder.ts'

/** How often a file that is written all the time is tried. */
const maximumAttempts = 3

/** `open` with the VDI as it is, again after each change that it met. */
export type FollowChanges = <T>(vdi: VdiRow, open: (vdi: VdiRow) => Promise<T>) => Promise<T>

/** What it makes throws what `open` throws, and VDI_IO_ERROR with what is wrong with a changed file. */
export const createFollower =
  ({ vdis }: Catalog, scanner: Scanner): FollowChanges =>
  async (asked, open) => {
    let vdi: VdiRow = asked
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await open(vdi)
      } catch (error) {
        if (!(error instanceof ChangedFileError)) throw error
        if (attempt === maximumAttempts) throw explained(error, scanner, vdi.srUuid)
        await scanner.renew(vdi.srUuid, error.fileName)
        const renewed = await vdis.get(vdi.uuid)
        if (renewed === undefined) throw handleInvalid('VDI', vdi.uuid)
        vdi = renewed
      }
    }
  }

const explained = (error: ChangedFileError, scanner: Scanner, srUuid: string): AppError => {
  const reason = scanner.problems(srUuid).get(error.fileName)
  if (reason === undefined) return error
  const found = `${error.message}; it cannot be used as it is now: ${reason}`
  return new AppError('VDI_IO_ERROR', [found], { cause: error })
}
