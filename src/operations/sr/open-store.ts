// The store of a storage repository as its row says it, opened where it lies. Called by whatever
// attaches one.

import type { SrRow } from '../../catalog/srs.ts'
import type { SrStore } from '../../store/files/sr-store.ts'
import { openSrStore } from '../../store/files/sr-store.ts'
import type { Store } from '../../store/files/store.ts'
import { findSr } from '../../transfer/find.ts'
import type { OperationContext } from '../context.ts'

/** Its folder may be away: then there is a reason, and a store that refuses with it. */
export const openStore = async (
  { catalog, dataFolder }: OperationContext,
  sr: SrRow,
): Promise<SrStore> => openSrStore(sr, dataFolder, await catalog.layers.list(sr.uuid))

/** The same; a folder that is away is logged. */
export const openStoreOrWarn = async (context: OperationContext, sr: SrRow): Promise<Store> => {
  const { store, reason } = await openStore(context, sr)
  if (reason !== undefined) {
    context.log.warn({ sr: sr.uuid, reason }, 'a storage repository is not attached')
  }
  return store
}

/**
 * Attaches it as its row says now.
 * @throws AppError HANDLE_INVALID
 */
export const reattach = async (context: OperationContext, srUuid: string): Promise<void> => {
  const { store } = await openStore(context, await findSr(context, srUuid))
  await context.storage.upkeep.reattach(srUuid, store)
}
