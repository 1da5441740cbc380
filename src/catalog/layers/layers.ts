// Layers: one row for each image file in a storage repository. The store writes the files and calls
// this; what an import promises, old content or new, is one transaction here.

import { sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { claimUnreachable } from './claim-unreachable.ts'
import type { Database } from '../database.ts'
import type { Queries, Statements, Transaction } from '../transaction.ts'
import { handleInvalid } from '../../object-errors.ts'
import type { LayerRow } from './layer-row.ts'
import type { FormatName } from '../../format-table.ts'
import type { TaskOutcomes } from '../tasks/task-outcome.ts'
import type { NewVdi } from '../vdis.ts'
import { insertVdi } from '../vdis.ts'
import { otherOperation } from '../../object-errors.ts'

/** The longest chain that is followed; configuration allows far less. */
const MAXIMUM_CHAIN = 4096

export interface Layers {
  /**
   * A new row in the state `writing`, before the file is made. The parent, if any, must be sealed.
   */
  begin(layer: NewLayer): Promise<void>

  /**
   * The layer becomes sealed and the VDI's top one, and the task a success: all or nothing. Its
   * file must be complete and synced.
   * @throws AppError HANDLE_INVALID if the VDI has gone; OTHER_OPERATION_IN_PROGRESS if its top
   *   layer is no longer the expected one; what TaskOutcomes.succeed throws
   */
  commit(commit: LayerCommit): Promise<void>

  /**
   * The layer becomes sealed, and no VDI's yet: it must be held until it is one's.
   * @throws AppError INTERNAL_ERROR unless it is being written
   */
  seal(sealed: SealedLayer): Promise<void>

  /**
   * Like `commit`, for a VDI that is made with its content: the VDI, the sealed layer and the
   * outcome of the task, all or nothing.
   * @throws AppError HANDLE_INVALID for an unknown SR; what TaskOutcomes.succeed throws
   */
  commitNew(sealed: SealedLayer, vdi: NewVdi, taskRef?: string): Promise<void>

  /**
   * The layer and all below it, top first.
   * @throws AppError HANDLE_INVALID for an unknown layer; INTERNAL_ERROR for a cycle or more than
   *   4096
   */
  chain(uuid: string): Promise<LayerRow[]>

  get(uuid: string): Promise<LayerRow | undefined>

  /** In the order they were made. */
  list(srUuid: string): Promise<LayerRow[]>

  /** What a crash left: rows being written or deleted, of all storage repositories. */
  unfinished(): Promise<LayerRow[]>

  /**
   * Marks the sealed layers that nothing needs as `deleting`, all at once, and returns them, each
   * before its parent. Needed are the layers of VDIs, those in `pinned`, the parents of layers
   * being written, and all below any of these. A file of others that no VDI.destroy asked for is
   * not among them: its row is forgotten, with those that it needs, and the files stay.
   */
  claimUnreachable(srUuid: string, pinned: ReadonlySet<string>): Promise<LayerRow[]>

  /**
   * Forgets a layer whose file has gone: a `deleting` or an abandoned `writing` one. Harmless for
   * an unknown one.
   * @throws AppError INTERNAL_ERROR for one that a VDI or a sealed layer lies on
   */
  remove(uuid: string): Promise<void>
}

export interface NewLayer {
  readonly uuid: string
  readonly srUuid: string
  readonly parentUuid: string | null
  readonly format: FormatName
  /** In bytes. */
  readonly virtualSize: number
  readonly createdAt: Date
}

/** A file that is complete and synced. */
export interface SealedLayer {
  readonly uuid: string
  /** The final parent: it may have been dropped while writing. */
  readonly parentUuid: string | null
  /** In bytes. */
  readonly fileSize: number
  /** In bytes, where it is not what the layer was begun with. */
  readonly virtualSize?: number
}

interface LayerCommit extends SealedLayer {
  readonly vdiUuid: string
  /** The VDI's top layer when the layer was begun; null: it had none. */
  readonly expectedLayerUuid: string | null
  /** The task that this ends. */
  readonly taskRef?: string | undefined
}

/** A file that diskport writes: its name follows from the row, and nobody else changes it. */
const ours = { hasData: true, fileName: null, fileStamp: null, destroyed: false }

export const createLayers = (
  database: Database,
  now: () => Date,
  outcomes: TaskOutcomes,
): Layers => {
  const { db } = database
  return {
    begin: (layer) =>
      database.transaction(async ({ db }) => {
        await requireParent(db, layer.uuid, layer.srUuid, layer.parentUuid)
        await db
          .insertInto('layers')
          .values({ ...ours, ...layer, state: 'writing', fileSize: 0 })
          .execute()
      }),
    commit: (commit) =>
      database.transaction(async (transaction) => {
        await outcomes.succeed(transaction, commit.taskRef, commit.vdiUuid)
        await commitLayer(transaction, commit, now())
      }),
    seal: (sealed) =>
      database.transaction(async ({ db }) => {
        const layer = await requireWriting(db, sealed.uuid)
        await sealLayer(db, sealed, layer.srUuid)
      }),
    commitNew: (commit, vdi, taskRef) =>
      database.transaction(async (transaction) => {
        const { uuid } = await insertVdi(transaction, vdi, now)
        await outcomes.succeed(transaction, taskRef, uuid)
        await commitLayer(transaction, { ...commit, vdiUuid: uuid, expectedLayerUuid: null }, now())
      }),
    chain: (uuid) => readChain(db, uuid),
    get: (uuid) => db.selectFrom('layers').selectAll().where('uuid', '=', uuid).executeTakeFirst(),
    list: (srUuid) =>
      db
        .selectFrom('layers')
        .selectAll()
        .where('srUuid', '=', srUuid)
        .orderBy('createdAt')
        .orderBy('uuid')
        .execute(),
    unfinished: () =>
      db
        .selectFrom('layers')
        .selectAll()
        .where('state', 'in', ['writing', 'deleting'])
        .orderBy('createdAt')
        .orderBy('uuid')
        .execute(),
    claimUnreachable: (srUuid, pinned) =>
      database.transaction(({ db }) => claimUnreachable(db, srUuid, pinned)),
    remove: (uuid) => database.transaction((transaction) => removeLayer(transaction, uuid)),
  }
}

/** A parent must stay: sealed, and in the same storage repository. */
const requireParent = async (
  db: Queries,
  uuid: string,
  srUuid: string,
  parentUuid: string | null,
): Promise<void> => {
  if (parentUuid === null) return
  const parent = await db
    .selectFrom('layers')
    .select(['state', 'srUuid'])
    .where('uuid', '=', parentUuid)
    .executeTakeFirst()
  if (parent?.state === 'sealed' && parent.srUuid === srUuid) return
  const found = parent === undefined ? 'unknown' : `${parent.state} in the SR ${parent.srUuid}`
  throw new AppError('INTERNAL_ERROR', [
    `The layer ${uuid} of the SR ${srUuid} cannot lie on ${parentUuid}, which is ${found}`,
  ])
}

const requireWriting = async (db: Queries, uuid: string) => {
  const layer = await db
    .selectFrom('layers')
    .select(['state', 'srUuid', 'createdAt'])
    .where('uuid', '=', uuid)
    .executeTakeFirst()
  if (layer?.state === 'writing') return layer
  const found = layer?.state ?? 'unknown'
  throw new AppError('INTERNAL_ERROR', [`Cannot commit the layer ${uuid}, which is ${found}`])
}

const sealLayer = async (db: Statements, sealed: SealedLayer, srUuid: string): Promise<void> => {
  const { uuid, parentUuid, fileSize, virtualSize } = sealed
  await requireParent(db, uuid, srUuid, parentUuid)
  await db
    .updateTable('layers')
    .set({ state: 'sealed', parentUuid, fileSize, ...(virtualSize && { virtualSize }) })
    .where('uuid', '=', uuid)
    .execute()
}

const commitLayer = async (
  transaction: Transaction,
  commit: LayerCommit,
  changedAt: Date,
): Promise<void> => {
  const { db } = transaction
  const { uuid, vdiUuid, expectedLayerUuid } = commit
  const layer = await requireWriting(db, uuid)
  const vdi = await db
    .selectFrom('vdis')
    .select(['layerUuid', 'srUuid'])
    .where('uuid', '=', vdiUuid)
    .executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', vdiUuid)
  if (vdi.layerUuid !== expectedLayerUuid) {
    const found = `its layer is ${vdi.layerUuid}, expected ${expectedLayerUuid}`
    throw otherOperation('VDI', vdiUuid, `The VDI ${vdiUuid} was changed meanwhile: ${found}`)
  }
  if (vdi.srUuid !== layer.srUuid) {
    throw new AppError('INTERNAL_ERROR', [
      `The layer ${uuid} of the SR ${layer.srUuid} cannot become the VDI ${vdiUuid} of ${vdi.srUuid}`,
    ])
  }
  await sealLayer(db, commit, layer.srUuid)
  await transaction.update('vdis', vdiUuid, {
    layerUuid: uuid,
    contentUuid: uuid,
    contentAt: layer.createdAt,
    changedAt,
  })
}

/** As Layers.chain. */
export const readChain = async (db: Queries, uuid: string): Promise<LayerRow[]> => {
  const rows = await db
    .withRecursive('chain(uuid, parentUuid, depth)', (db) =>
      db
        .selectFrom('layers')
        .where('uuid', '=', uuid)
        .select(['uuid', 'parentUuid', sql<number>`1`.as('depth')])
        .unionAll(
          db
            .selectFrom('layers as parent')
            .innerJoin('chain', 'chain.parentUuid', 'parent.uuid')
            .where('chain.depth', '<=', MAXIMUM_CHAIN)
            .select(['parent.uuid', 'parent.parentUuid', sql<number>`chain.depth + 1`.as('depth')]),
        ),
    )
    .selectFrom('chain')
    .innerJoin('layers', 'layers.uuid', 'chain.uuid')
    .selectAll('layers')
    .orderBy('chain.depth')
    .execute()
  if (rows.length === 0) throw handleInvalid('layer', uuid)
  if (rows.length > MAXIMUM_CHAIN) {
    throw new AppError('INTERNAL_ERROR', [
      `The chain of the layer ${uuid} is longer than ${MAXIMUM_CHAIN} layers, or a cycle`,
    ])
  }
  return rows
}

const removeLayer = async ({ db, touch }: Transaction, uuid: string): Promise<void> => {
  const vdi = await db
    .selectFrom('vdis')
    .select('uuid')
    .where('layerUuid', '=', uuid)
    .executeTakeFirst()
  const child = await db
    .selectFrom('layers')
    .select('uuid')
    .where('parentUuid', '=', uuid)
    .where('state', '=', 'sealed')
    .executeTakeFirst()
  const user = vdi === undefined ? child && `layer ${child.uuid}` : `VDI ${vdi.uuid}`
  if (user !== undefined) {
    throw new AppError('INTERNAL_ERROR', [
      `Cannot remove the layer ${uuid}: the ${user} lies on it`,
    ])
  }
  await db.updateTable('layers').set({ parentUuid: null }).where('parentUuid', '=', uuid).execute()
  const removed = await db
    .deleteFrom('layers')
    .where('uuid', '=', uuid)
    .returning('srUuid')
    .executeTakeFirst()
  if (removed !== undefined) touch('SR', removed.srUuid)
}
