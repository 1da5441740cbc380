// The use case of SR.destroy: an empty storage repository goes, and with it the folders that
// diskport made for it, where they are empty.

import { noPbd, srNotAttached, srNotEmpty, srReadOnly, unplugged } from '../object-errors.ts'
import { findSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { hasVdis, removeSr } from './sr/remove-sr.ts'

/**
 * @throws AppError HANDLE_INVALID; SR_NOT_EMPTY; SR_OPERATION_NOT_SUPPORTED for a read-only one;
 *   SR_NOT_ATTACHED for an unplugged one; OTHER_OPERATION_IN_PROGRESS while it is read or written
 */
export const destroySr = (context: OperationContext, srUuid: string): Promise<void> =>
  context.oneSrAtATime(async () => {
    const sr = await findSr(context, srUuid)
    if (sr.readOnly) throw srReadOnly(srUuid)
    if (!sr.isPlugged) throw srNotAttached(srUuid, sr.hasPbd ? unplugged : noPbd)
    if (await hasVdis(context, sr)) throw srNotEmpty(srUuid)
    // The layers of its last VDIs may not have been deleted yet.
    await context.storage.upkeep.collectNow(srUuid)
    await removeSr(context, sr)
  })
