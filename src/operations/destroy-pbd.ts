// The use case of PBD.destroy: forgets where a storage repository lies.

import { AppError } from '../errors.ts'
import type { OperationContext } from './context.ts'
import { reattach } from './sr/open-store.ts'
import { requireSrOfPbd, tellOfPbd } from './sr/pbds.ts'

/** @throws AppError HANDLE_INVALID; OPERATION_NOT_ALLOWED while it is plugged */
export const destroyPbd = (context: OperationContext, pbdUuid: string): Promise<void> =>
  context.oneSrAtATime(async () => {
    const sr = await requireSrOfPbd(context, pbdUuid)
    if (sr.isPlugged) {
      const message = `The PBD of the storage repository ${sr.uuid} is plugged: pbd-unplug comes first`
      throw new AppError('OPERATION_NOT_ALLOWED', [message])
    }
    const change = { hasPbd: false, deviceConfig: {}, pbdOtherConfig: {} }
    await context.catalog.srs.update(sr.uuid, () => change)
    await reattach(context, sr.uuid)
    tellOfPbd(context, sr.uuid, 'del')
  })
