// Forgets what lies in a storage repository: rows go, files stay.

import { removeLayerRows } from './layers/claim-unreachable.ts'
import type { Database, Queries } from './database.ts'
import type { LayerRow } from './layers/layer-row.ts'
import { handleInvalid } from '../object-errors.ts'
import { downFrom } from './layers/unreachable-layers.ts'

export interface Forget {
  /**
   * The VDI, and the layers that only it needs.
   * @throws AppError HANDLE_INVALID
   */
  vdi(uuid: string): Promise<void>

  /**
   * The storage repository with its VDIs and layers. A pool whose default it was has none then.
   * @returns the uuids of the VDIs
   * @throws AppError HANDLE_INVALID
   */
  sr(uuid: string): Promise<string[]>
}

export const createForget = (database: Database): Forget => ({
  vdi: (uuid) => database.transaction((db) => forgetVdi(db, uuid)),
  sr: (uuid) => database.transaction((db) => forgetSr(db, uuid)),
})

const forgetVdi = async (db: Queries, uuid: string): Promise<void> => {
  const vdi = await db.selectFrom('vdis').selectAll().where('uuid', '=', uuid).executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
  await db.deleteFrom('vdis').where('uuid', '=', uuid).execute()
  if (vdi.layerUuid === null) return
  const { srUuid } = vdi
  const layers = await db.selectFrom('layers').selectAll().where('srUuid', '=', srUuid).execute()
  const others = await db
    .selectFrom('vdis')
    .select('layerUuid')
    .where('srUuid', '=', srUuid)
    .where('layerUuid', 'is not', null)
    .execute()
  await removeLayerRows(
    db,
    onlyBelow(
      layers,
      vdi.layerUuid,
      others.map((other) => other.layerUuid!),
    ),
  )
}

/** The layers from `top` down on which neither `roots` lie nor any layer that is not among them. */
const onlyBelow = (
  layers: readonly LayerRow[],
  top: string,
  roots: readonly string[],
): string[] => {
  const byUuid = new Map(layers.map((layer) => [layer.uuid, layer]))
  const own = new Set(downFrom(byUuid, top))
  const others = layers.filter((layer) => !own.has(layer.uuid)).map((layer) => layer.uuid)
  const needed = new Set(
    [...roots, ...others].flatMap((root) => Array.from(downFrom(byUuid, root))),
  )
  return Array.from(own).filter((uuid) => !needed.has(uuid))
}

const forgetSr = async (db: Queries, uuid: string): Promise<string[]> => {
  const vdis = await db.selectFrom('vdis').select('uuid').where('srUuid', '=', uuid).execute()
  await db.deleteFrom('vdis').where('srUuid', '=', uuid).execute()
  await db.updateTable('layers').set({ parentUuid: null }).where('srUuid', '=', uuid).execute()
  await db.deleteFrom('layers').where('srUuid', '=', uuid).execute()
  const { numDeletedRows } = await db.deleteFrom('srs').where('uuid', '=', uuid).executeTakeFirst()
  if (numDeletedRows === 0n) throw handleInvalid('SR', uuid)
  return vdis.map((vdi) => vdi.uuid)
}
