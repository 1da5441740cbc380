// What becomes of layers that nothing needs any more. Our own files go. Those of others go only if
// VDI.destroy asked for it: after a move, or an import that replaced all, they are forgotten and
// stay where they are.

import { among } from '../sqlite/among.ts'
import type { Queries, Statements } from '../transaction.ts'
import type { LayerRow } from './layer-row.ts'
import type { LayerTree } from './layer-tree.ts'
import { createLayerTree } from './layer-tree.ts'
import { readTopLayers } from './top-layers.ts'

/** As Layers.claimUnreachable. */
export const claimUnreachable = async (
  db: Statements,
  srUuid: string,
  pinned: ReadonlySet<string>,
): Promise<LayerRow[]> => {
  const layers = await readLayers(db, srUuid)
  const tree = createLayerTree(layers)
  const unreachable = tree.unneededBy([...pinned, ...(await neededTops(db, srUuid, layers))])
  const left = leftToOthers(tree, unreachable)
  await db
    .updateTable('layers')
    .set({ parentUuid: null })
    .where('parentUuid', 'in', among(left))
    .execute()
  await removeLayerRows(db, left)
  const claimed = unreachable.filter(({ uuid }) => !left.has(uuid))
  await db
    .updateTable('layers')
    .set({ state: 'deleting' })
    .where('uuid', 'in', among(claimed.map(({ uuid }) => uuid)))
    .execute()
  return claimed.map((layer) => ({ ...layer, state: 'deleting' as const }))
}

/**
 * The files of others that only some VDIs need may go; these have been deleted from the catalog.
 * @param tops the top layers of the VDIs
 */
export const markDestroyed = async (
  db: Statements,
  srUuid: string,
  tops: readonly string[],
): Promise<void> => {
  const layers = await readLayers(db, srUuid)
  const tree = createLayerTree(layers)
  const needed = tree.neededBy(await neededTops(db, srUuid, layers))
  const below = tree.neededBy(tops)
  const destroyed = layers.filter(
    ({ uuid, fileStamp }) => fileStamp !== null && below.has(uuid) && !needed.has(uuid),
  )
  await db
    .updateTable('layers')
    .set({ destroyed: true })
    .where('uuid', 'in', among(destroyed.map(({ uuid }) => uuid)))
    .execute()
}

/** All at once: they may lie on each other. */
export const removeLayerRows = async (db: Statements, uuids: Iterable<string>): Promise<void> => {
  const rows = among(uuids)
  await db.updateTable('layers').set({ parentUuid: null }).where('uuid', 'in', rows).execute()
  await db.deleteFrom('layers').where('uuid', 'in', rows).execute()
}

const readLayers = (db: Queries, srUuid: string): Promise<LayerRow[]> =>
  db.selectFrom('layers').selectAll().where('srUuid', '=', srUuid).execute()

/** The layers of VDIs, and those that are being written. */
const neededTops = async (
  db: Queries,
  srUuid: string,
  layers: readonly LayerRow[],
): Promise<string[]> => {
  const tops = await readTopLayers(db, srUuid)
  const writing = layers.filter((layer) => layer.state === 'writing')
  return [...tops.map(({ layerUuid }) => layerUuid), ...writing.map(({ uuid }) => uuid)]
}

/** Files of others that nobody destroyed, and all that they need. */
const leftToOthers = (
  tree: LayerTree<LayerRow>,
  unreachable: readonly LayerRow[],
): ReadonlySet<string> => {
  const left = unreachable.filter(({ fileStamp, destroyed }) => fileStamp !== null && !destroyed)
  const needed = tree.neededBy(left.map(({ uuid }) => uuid))
  return new Set(unreachable.map(({ uuid }) => uuid).filter((uuid) => needed.has(uuid)))
}
