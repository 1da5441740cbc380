// At the start of the server: all storage repositories that the catalog knows get their stores. One
// whose folder is away is logged; its VDIs cannot be read until a scan finds it.

import type { OperationContext } from './context.ts'
import { openStoreOrWarn } from './sr/open-store.ts'

export const attachAllSrs = async (context: OperationContext): Promise<void> => {
  const { catalog, storage } = context
  for (const sr of await catalog.srs.list()) {
    storage.stores.attach(sr.uuid, await openStoreOrWarn(context, sr))
  }
}
