// The use case of PBD.unplug: detaches a storage repository, also over a restart. Its VDIs cannot
// be read until it is plugged again.

import type { OperationContext } from './context.ts'
import { reattach } from './sr/open-store.ts'
import { requireSrOfPbd, tellOfPbd } from './sr/pbds.ts'
import { requireIdle } from './sr/require-idle.ts'

/** @throws AppError HANDLE_INVALID; OTHER_OPERATION_IN_PROGRESS while a VDI is read or written */
export const unplugPbd = (context: OperationContext, pbdUuid: string): Promise<void> =>
  context.oneSrAtATime(async () => {
    const sr = await requireSrOfPbd(context, pbdUuid)
    if (sr.isPlugged) {
      await requireIdle(context, sr.uuid)
      await context.catalog.srs.update(sr.uuid, () => ({ isPlugged: false }))
      await reattach(context, sr.uuid)
    }
    tellOfPbd(context, sr.uuid, 'mod')
  })
