// Makes the folder for everything that diskport keeps, at start, where it may be.

import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError, isNodeError } from '../../errors.ts'
import { specialFileSystemAround } from './special-file-systems.ts'

/**
 * Makes the folder, with those above it, where it is missing.
 * @param path absolute
 * @throws AppError OPERATION_NOT_ALLOWED on a special file system; an error of the operating system
 */
export const makeDataFolder = async (path: string): Promise<void> => {
  const special = await specialFileSystemAround(path)
  if (special !== undefined) {
    const found = `it lies on a special file system (${special}), which keeps no files`
    const message = `The data folder cannot be ${path}: ${found}; name a folder on a disk with --data`
    throw new AppError('OPERATION_NOT_ALLOWED', [message])
  }
  await makeFolder(path)
}

/**
 * Not by `recursive`: Node then tries for ever where a folder has room for no other, as in /proc.
 */
export const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const code = isNodeError(error) ? error.code : undefined
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await mkdir(path, { mode: 0o700 })
  }
}
