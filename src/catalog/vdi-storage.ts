// Where a VDI may lie: the one check of every row that is made or moved.

import type { Queries } from './transaction.ts'
import { handleInvalid } from '../object-errors.ts'

interface VdiStorage {
  readonly srUuid: string
  /** Undefined or null: no content. */
  readonly layerUuid?: string | null
}

/** @throws AppError HANDLE_INVALID for an unknown SR, or a layer that is not sealed there */
export const requireStorage = async (
  db: Queries,
  { srUuid, layerUuid }: VdiStorage,
): Promise<void> => {
  const sr = await db.selectFrom('srs').select('uuid').where('uuid', '=', srUuid).executeTakeFirst()
  if (sr === undefined) throw handleInvalid('SR', srUuid)
  if (layerUuid === undefined || layerUuid === null) return
  const layer = await db
    .selectFrom('layers')
    .select(['state', 'srUuid'])
    .where('uuid', '=', layerUuid)
    .executeTakeFirst()
  if (layer?.state !== 'sealed' || layer.srUuid !== srUuid) throw handleInvalid('layer', layerUuid)
}
