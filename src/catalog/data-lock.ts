// One server for one data folder: a lock that the operating system drops with the process, however
// it ends. Two servers would each take the other's running imports for leftovers.

import { DatabaseSync } from 'node:sqlite'
import { AppError } from '../errors.ts'

/**
 * Takes the lock file at `path`; the returned function gives it back.
 * @throws AppError OPERATION_NOT_ALLOWED where another process holds it
 */
export const lockDataFolder = (path: string): (() => void) => {
  // SQLite's exclusive lock is a POSIX lock on the file, which Node itself cannot take.
  const lock = new DatabaseSync(path)
  try {
    lock.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    throw new AppError(
      'OPERATION_NOT_ALLOWED',
      [`Another diskport is running on this data folder (${path} is locked)`],
      { cause: error },
    )
  }
  return () => lock.close()
}
