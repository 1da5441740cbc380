// The names in a folder that may hold a storage repository.

import { readdir } from 'node:fs/promises'
import { isNodeError } from '../../errors.ts'

/**
 * None where there is no such folder.
 * @param kind `folders`: only those of folders
 */
export const namesIn = async (folder: string, kind: 'all' | 'folders'): Promise<string[]> => {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter((entry) => kind === 'all' || entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (isNodeError(error) && error.code === 'ENOENT') return []
    throw error
  }
}
