// The use case of SR.scan: looks at what lies in the folder of a storage repository, and first
// whether the folder is there; then collects the layers that nobody needs.

import { findSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { tellOfPbd } from './sr/pbds.ts'
import { scanFiles } from './sr/scan-files.ts'

/** @throws AppError HANDLE_INVALID; SR_NOT_ATTACHED with the reason */
export const scanSr = async (context: OperationContext, srUuid: string): Promise<void> => {
  const { stores } = context.storage
  const sr = await findSr(context, srUuid)
  const wasAttached = stores.isAttached(srUuid)
  try {
    await scanFiles(context, sr)
  } finally {
    if (stores.isAttached(srUuid) !== wasAttached) tellOfPbd(context, srUuid, 'mod')
  }
}
