// The use case of PBD.plug: attaches a storage repository and scans it. Harmless for one that is
// attached.

import { srNotAttached } from '../object-errors.ts'
import { findSr } from '../transfer/find.ts'
import type { OperationContext } from './context.ts'
import { openStore } from './sr/open-store.ts'
import { requireSrOfPbd, tellOfPbd } from './sr/pbds.ts'
import { scanFiles } from './sr/scan-files.ts'

/** @throws AppError HANDLE_INVALID; SR_NOT_ATTACHED with the reason: it stays unplugged then */
export const plugPbd = (context: OperationContext, pbdUuid: string): Promise<void> =>
  context.oneSrAtATime(async () => {
    const { catalog, storage } = context
    const sr = await requireSrOfPbd(context, pbdUuid)
    if (!storage.stores.isAttached(sr.uuid)) {
      const { store, reason } = await openStore(context, { ...sr, isPlugged: true })
      if (reason !== undefined) throw srNotAttached(sr.uuid, reason)
      await catalog.srs.update(sr.uuid, () => ({ isPlugged: true }))
      await storage.upkeep.reattach(sr.uuid, store)
      await scanFiles(context, await findSr(context, sr.uuid))
    }
    tellOfPbd(context, sr.uuid, 'mod')
  })
