// The folders that diskport made for a storage repository: they go with it where they are empty.

import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SrRow } from '../../catalog/srs.ts'
import { isNodeError } from '../../errors.ts'
import { STAGING } from '../../store/files/file-folder.ts'
import { removeStaging } from '../../store/files/staging-folder.ts'
import type { OperationContext } from '../context.ts'

type SrFolder = Pick<SrRow, 'uuid' | 'path' | 'readOnly'>

/** Called when the storage repository has gone from the catalog. A failure is logged. */
export const removeOwnFolders = async (
  { dataFolder, log }: Pick<OperationContext, 'dataFolder' | 'log'>,
  sr: SrFolder,
): Promise<void> => {
  try {
    await removeEmpty(sr, dataFolder)
  } catch (error) {
    log.error({ error, sr: sr.uuid }, 'removing the empty folders of a storage repository')
  }
}

const removeEmpty = async (
  { uuid, path, readOnly }: SrFolder,
  dataFolder: string,
): Promise<void> => {
  if (readOnly) return
  if (path !== '') return removeStaging(path, uuid)
  const own = join(dataFolder, 'sr', uuid)
  for (const folder of [join(own, STAGING), own]) await rmdir(folder).catch(unlessInUse)
}

const unlessInUse = (error: unknown): void => {
  if (isNodeError(error) && ['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) return
  throw error
}
