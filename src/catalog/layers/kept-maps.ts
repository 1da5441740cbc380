// Layers of which only the block map is left: VDI.data_destroy turns a snapshot into one that tells
// what has changed since, but shows nothing. Its layers lose their data as soon as nobody else
// needs it.

import { AppError } from '../../errors.ts'
import { among } from '../sqlite/among.ts'
import type { Database } from '../database.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { LayerRow } from './layer-row.ts'
import { handleInvalid } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import { METADATA_ONLY } from '../schema.ts'
import { createLayerTree } from './layer-tree.ts'
import { readTopLayers, touchVdisOn } from './top-layers.ts'

export interface KeptMaps {
  /**
   * The snapshot shows nothing from now on. Harmless for one that shows nothing already.
   * @throws AppError HANDLE_INVALID; OPERATION_NOT_ALLOWED unless it is a snapshot;
   *   VDI_NO_CBT_METADATA unless changed blocks are tracked
   */
  destroyData(vdiUuid: string): Promise<void>

  /**
   * The layers whose data nobody needs, but whose map a VDI does. Data is needed by the other VDIs,
   * those who have `pinned` layers, and layers being written.
   */
  superfluousData(srUuid: string, pinned: ReadonlySet<string>): Promise<LayerRow[]>

  /**
   * Those of `uuids` of which this is still so have lost their data: the rows, as they were. Their
   * maps must be kept by now.
   */
  dropData(
    srUuid: string,
    pinned: ReadonlySet<string>,
    uuids: ReadonlySet<string>,
  ): Promise<LayerRow[]>

  /** All layers without data, of all storage repositories. */
  list(): Promise<LayerRow[]>
}

/** In `other_config:content_id`, by which XenServer's clients tell which content a VDI shows. */
const NO_CONTENT = '/No content: this is a cbt_metadata VDI/'

export const createKeptMaps = (database: Database): KeptMaps => ({
  destroyData: (vdiUuid) =>
    database.transaction((transaction) => destroyData(transaction, vdiUuid)),
  superfluousData: (srUuid, pinned) =>
    database.transaction(({ db }) => superfluousData(db, srUuid, pinned)),
  dropData: (srUuid, pinned, uuids) =>
    database.transaction(async (transaction) => {
      const superfluous = await superfluousData(transaction.db, srUuid, pinned)
      const dropped = superfluous.filter(({ uuid }) => uuids.has(uuid))
      if (dropped.length === 0) return dropped
      const droppedUuids = dropped.map(({ uuid }) => uuid)
      await transaction.db
        .updateTable('layers')
        .set({ hasData: false, fileSize: 0 })
        .where('uuid', 'in', among(droppedUuids))
        .execute()
      await touchVdisOn(transaction, droppedUuids)
      transaction.touch('SR', srUuid)
      return dropped
    }),
  list: () => database.db.selectFrom('layers').selectAll().where('hasData', '=', false).execute(),
})

const destroyData = async (transaction: Transaction, vdiUuid: string): Promise<void> => {
  const { db } = transaction
  const vdi = await db.selectFrom('vdis').selectAll().where('uuid', '=', vdiUuid).executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', vdiUuid)
  if (vdi.type === METADATA_ONLY) return
  if (!vdi.isSnapshot) {
    throw new AppError('OPERATION_NOT_ALLOWED', [`VDI is not a snapshot: ${toRef(vdiUuid)}`])
  }
  if (!vdi.cbtEnabled) {
    const message = `The changed blocks of the snapshot ${vdiUuid} are not kept: vdi-enable-cbt must come before the snapshot`
    throw new AppError('VDI_NO_CBT_METADATA', [toRef(vdiUuid)], { message })
  }
  const otherConfig = { ...vdi.otherConfig, content_id: NO_CONTENT }
  await transaction.update('vdis', vdiUuid, { type: METADATA_ONLY, otherConfig })
}

const superfluousData = async (
  db: Queries,
  srUuid: string,
  pinned: ReadonlySet<string>,
): Promise<LayerRow[]> => {
  const tops = await readTopLayers(db, srUuid)
  if (!tops.some(({ type }) => type === METADATA_ONLY)) return []
  const layers = await db.selectFrom('layers').selectAll().where('srUuid', '=', srUuid).execute()
  const topLayers = (withData: boolean): string[] =>
    tops.filter(({ type }) => (type !== METADATA_ONLY) === withData).map((top) => top.layerUuid)
  const writing = layers.filter(({ state }) => state === 'writing').map(({ uuid }) => uuid)
  const needed = [...pinned, ...topLayers(true), ...writing]
  const tree = createLayerTree(layers)
  const neededForMaps = tree.neededBy(topLayers(false))
  return tree
    .unneededBy(needed)
    .filter(
      ({ uuid, hasData, fileStamp }) => hasData && fileStamp === null && neededForMaps.has(uuid),
    )
}
