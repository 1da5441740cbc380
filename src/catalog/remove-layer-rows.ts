// Takes layers out of the catalog; their files are somebody else's business.

import type { Queries } from './database.ts'

/** All at once: they may lie on each other. */
export const removeLayerRows = async (db: Queries, uuids: readonly string[]): Promise<void> => {
  for (const uuid of uuids) {
    await db.updateTable('layers').set({ parentUuid: null }).where('uuid', '=', uuid).execute()
  }
  for (const uuid of uuids) await db.deleteFrom('layers').where('uuid', '=', uuid).execute()
}
