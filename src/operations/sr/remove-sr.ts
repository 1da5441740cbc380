// What SR.forget and SR.destroy have in common: the storage repository goes from the catalog, its
// image files stay.

import type { SrRow } from '../../catalog/srs.ts'
import type { OperationContext } from '../context.ts'
import { removeOwnFolders } from './own-folders.ts'
import { tellOfPbd } from './pbds.ts'
import { writeProblemFile } from './problem-files.ts'
import { requireIdle } from './require-idle.ts'

/** @throws AppError OTHER_OPERATION_IN_PROGRESS while it is read or written */
export const removeSr = async (context: OperationContext, sr: SrRow): Promise<void> => {
  await requireIdle(context, sr.uuid)
  await context.catalog.forget.sr(sr.uuid)
  context.storage.stores.detach(sr.uuid)
  await writeProblemFile(context, sr.uuid, new Map())
  await removeOwnFolders(context, sr)
  if (sr.hasPbd) tellOfPbd(context, sr.uuid, 'del')
}

export const hasVdis = async (
  { catalog }: Pick<OperationContext, 'catalog'>,
  { uuid }: SrRow,
): Promise<boolean> => (await catalog.vdis.uuidsIn(uuid)).length > 0
