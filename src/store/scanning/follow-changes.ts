// Reads of VDIs whose files others may write: one that has changed since it was found is looked at
// again, and the VDIs are opened as they are now.

import type { Catalog } from '../../catalog/catalog.ts'
import { handleInvalid } from '../../catalog/refs.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { AppError } from '../../errors.ts'
import { StorageError } from '../../errors.ts'
import { ChangedFileError } from '../files/file-stamp.ts'
import type { Scanner } from './scan-folder.ts'

/** How often a file that is written all the time is tried. */
const maximumAttempts = 3

/** `open` with the VDIs as they are, again after each change that it met. */
export type FollowChanges = <T>(
  vdis: readonly VdiRow[],
  open: (vdis: readonly VdiRow[]) => Promise<T>,
) => Promise<T>

/** What it makes throws what `open` throws, and VDI_IO_ERROR with what is wrong with a changed file. */
export const createFollower =
  ({ vdis }: Catalog, scanner: Scanner): FollowChanges =>
  async (asked, open) => {
    const readRow = async ({ uuid }: VdiRow): Promise<VdiRow> => {
      const row = await vdis.get(uuid)
      if (row === undefined) throw handleInvalid('VDI', uuid)
      return row
    }
    let now = asked
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await open(now)
      } catch (error) {
        if (!(error instanceof ChangedFileError)) throw error
        const srUuids = new Set(now.map(({ srUuid }) => srUuid))
        if (attempt === maximumAttempts) throw explained(error, scanner, srUuids)
        for (const srUuid of srUuids) await scanner.renew(srUuid, error.fileName)
        now = await Promise.all(now.map(readRow))
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
