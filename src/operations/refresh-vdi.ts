// The use case of VDI.update: looks again at the files that a VDI lies in, which others may have
// changed.

import { METADATA_ONLY } from '../catalog/schema.ts'
import { findVdi } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'

/** @throws AppError HANDLE_INVALID; what keeps a file from being read */
export const refreshVdi = async (context: OperationContext, vdiUuid: string): Promise<void> => {
  const { type } = await findVdi(context, vdiUuid)
  if (type === METADATA_ONLY) return
  // Opening checks the files and follows their changes.
  const { disk } = await context.storage.contents.open(vdiUuid)
  await disk.close()
}
