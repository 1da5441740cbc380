// Forgets what lies in a storage repository: rows go, files stay.

import { removeLayerRows } from './layers/claim-unreachable.ts'
import type { Database } from './database.ts'
import type { Transaction } from './transaction.ts'
import type { LayerRow } from './layers/layer-row.ts'
import { handleInvalid } from '../object-errors.ts'
import { createLayerTree } from './layers/layer-tree.ts'
import { readTopLayers } from './layers/top-layers.ts'

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
  vdi: (uuid) => database.transaction((transaction) => forgetVdi(transaction, uuid)),
  sr: (uuid) => database.transaction((transaction) => forgetSr(transaction, uuid)),
})

const forgetVdi = async (transaction: Transaction, uuid: string): Promise<void> => {
  const { db } = transaction
  const vdi = await db.selectFrom('vdis').selectAll().where('uuid', '=', uuid).executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
  await transaction.remove('vdis', [uuid])
  if (vdi.layerUuid === null) return
  const { srUuid } = vdi
  const layers = await db.selectFrom('layers').selectAll().where('srUuid', '=', srUuid).execute()
  const roots = (await readTopLayers(db, srUuid)).map(({ layerUuid }) => layerUuid)
  await removeLayerRows(db, onlyBelow(layers, vdi.layerUuid, roots))
}

/** The layers from `top` down on which neither `roots` lie nor any layer that is not among them. */
const onlyBelow = (
  layers: readonly LayerRow[],
  top: string,
  roots: readonly string[],
): string[] => {
  const tree = createLayerTree(layers)
  const own = tree.neededBy([top])
  const others = layers.filter((layer) => !own.has(layer.uuid)).map((layer) => layer.uuid)
  const needed = tree.neededBy([...roots, ...others])
  return [...own].filter((uuid) => !needed.has(uuid))
}

const forgetSr = async (transaction: Transaction, uuid: string): Promise<string[]> => {
  const { db } = transaction
  const rows = await db.selectFrom('vdis').select('uuid').where('srUuid', '=', uuid).execute()
  const vdis = rows.map((vdi) => vdi.uuid)
  await transaction.remove('vdis', vdis)
  await db.updateTable('layers').set({ parentUuid: null }).where('srUuid', '=', uuid).execute()
  await db.deleteFrom('layers').where('srUuid', '=', uuid).execute()
  if ((await transaction.remove('srs', [uuid])) === 0) throw handleInvalid('SR', uuid)
  return vdis
}
