// What becomes of layers that nothing needs any more. Our own files go. Those of others go only if
// VDI.destroy asked for it: after a move, or an import that replaced all, they are forgotten and
// stay where they are.

import type { Queries } from '../database.ts'
import type { LayerRow } from './layer-row.ts'
import { downFrom, unreachableLayers } from './unreachable-layers.ts'

/** As Layers.claimUnreachable. */
export const claimUnreachable = async (
  db: Queries,
  srUuid: string,
  pinned: ReadonlySet<string>,
): Promise<LayerRow[]> => {
  const layers = await readLayers(db, srUuid)
  const unreachable = unreachableLayers(layers, [
    ...pinned,
    ...(await neededTops(db, srUuid, layers)),
  ])
  const left = leftToOthers(layers, unreachable)
  for (const uuid of left) {
    await db
      .updateTable('layers')
      .set({ parentUuid: null })
      .where('parentUuid', '=', uuid)
      .execute()
  }
  await removeLayerRows(db, [...left])
  const claimed = unreachable.filter(({ uuid }) => !left.has(uuid))
  for (const { uuid } of claimed) {
    await db.updateTable('layers').set({ state: 'deleting' }).where('uuid', '=', uuid).execute()
  }
  return claimed.map((layer) => ({ ...layer, state: 'deleting' as const }))
}

/**
 * The files of others that only the VDI needs may go; the VDI has been deleted from the catalog.
 */
export const markDestroyed = async (
  db: Queries,
  srUuid: string,
  layerUuid: string,
): Promise<void> => {
  const layers = await readLayers(db, srUuid)
  const byUuid = new Map(layers.map((layer) => [layer.uuid, layer]))
  const tops = await neededTops(db, srUuid, layers)
  const needed = new Set(tops.flatMap((top) => Array.from(downFrom(byUuid, top))))
  for (const uuid of downFrom(byUuid, layerUuid)) {
    if (needed.has(uuid) || byUuid.get(uuid)?.fileStamp === null) continue
    await db.updateTable('layers').set({ destroyed: true }).where('uuid', '=', uuid).execute()
  }
}

/** All at once: they may lie on each other. */
export const removeLayerRows = async (db: Queries, uuids: readonly string[]): Promise<void> => {
  for (const uuid of uuids) {
    await db.updateTable('layers').set({ parentUuid: null }).where('uuid', '=', uuid).execute()
  }
  for (const uuid of uuids) await db.deleteFrom('layers').where('uuid', '=', uuid).execute()
}

const readLayers = (db: Queries, srUuid: string): Promise<LayerRow[]> =>
  db.selectFrom('layers').selectAll().where('srUuid', '=', srUuid).execute()

/** The layers of VDIs, and those that are being written. */
const neededTops = async (
  db: Queries,
  srUuid: string,
  layers: readonly LayerRow[],
): Promise<string[]> => {
  const vdis = await db
    .selectFrom('vdis')
    .select('layerUuid')
    .where('srUuid', '=', srUuid)
    .where('layerUuid', 'is not', null)
    .execute()
  const writing = layers.filter((layer) => layer.state === 'writing')
  return [...vdis.map((vdi) => vdi.layerUuid!), ...writing.map((layer) => layer.uuid)]
}

/** Files of others that nobody destroyed, and all that they need. */
const leftToOthers = (
  layers: readonly LayerRow[],
  unreachable: readonly LayerRow[],
): Set<string> => {
  const byUuid = new Map(layers.map((layer) => [layer.uuid, layer]))
  const unneeded = new Set(unreachable.map(({ uuid }) => uuid))
  const left = unreachable.filter(({ fileStamp, destroyed }) => fileStamp !== null && !destroyed)
  return new Set(
    left.flatMap(({ uuid }) => Array.from(downFrom(byUuid, uuid)).filter((at) => unneeded.has(at))),
  )
}
