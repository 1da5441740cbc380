// The use case of SR.forget: the storage repository goes with its VDIs, all image files stay.

import { AppError } from '../errors.ts'
import { findSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { hasVdis, removeSr } from './sr/remove-sr.ts'

/**
 * @throws AppError HANDLE_INVALID; OTHER_OPERATION_IN_PROGRESS while it is read or written;
 *   OPERATION_NOT_ALLOWED for one in the data folder that is not empty, because nothing could bring
 *   it back
 */
export const forgetSr = (context: OperationContext, srUuid: string): Promise<void> =>
  context.oneSrAtATime(async () => {
    const sr = await findSr(context, srUuid)
    if (sr.path === '' && (await hasVdis(context, sr))) {
      const found = `it lies in the data folder, and no call could bring its VDIs back`
      const message = `The storage repository ${sr.uuid} cannot be forgotten: ${found}`
      throw new AppError('OPERATION_NOT_ALLOWED', [message])
    }
    await removeSr(context, sr)
  })
