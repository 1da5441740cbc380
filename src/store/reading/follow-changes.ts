// Opens VDIs whose files others may write: after a file has changed, the folder is looked at again
// and the VDIs are opened as they are now.

import type { AppError } from '../../errors.ts'
import { StorageError } from '../../errors.ts'
import { ChangedFileError } from '../files/file-stamp.ts'
import type { Scanner } from '../scanning/scan-folder.ts'
import type { PinnedVdis } from './pin-vdis.ts'

/** How often a file that is written all the time is tried. */
const maximumAttempts = 3

/**
 * @param open is given the pins, and releases them when what it returns is closed; where it throws,
 *   they are released here
 * @throws AppError VDI_IO_ERROR with what is wrong with a changed file; what `pin` and `open` throw
 */
export const followChanges = async <T>(
  scanner: Scanner,
  pin: () => Promise<PinnedVdis>,
  open: (pinned: PinnedVdis) => Promise<T>,
): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    const pinned = await pin()
    try {
      return await open(pinned)
    } catch (error) {
      pinned.release()
      if (!(error instanceof ChangedFileError)) throw error
      const srUuids = new Set(pinned.vdis.map(({ vdi }) => vdi.srUuid))
      if (attempt === maximumAttempts) throw explained(error, scanner, srUuids)
      for (const srUuid of srUuids) await scanner.renew(srUuid, error.fileName)
    }
  }
}

const explained = (
  error: ChangedFileError,
  scanner: Scanner,
  srUuids: Iterable<string>,
): AppError => {
  const reasons = Array.from(srUuids, (srUuid) => scanner.problems(srUuid).get(error.fileName))
  const reason = reasons.find((found) => found !== undefined)
  if (reason === undefined) return error
  const found = `${error.message}; it cannot be used as it is now: ${reason}`
  return new StorageError(found, error)
}
