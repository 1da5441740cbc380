// VDIs: a name, a size and the layer that holds the content. New content comes only through
// layers.commit.

import { requireRoomForVdi } from './moves/move-rows.ts'
import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import { formatBytes } from '../units.ts'
import { objectBounds, requireWithin } from './bounds.ts'
import { markDestroyed } from './layers/claim-unreachable.ts'
import type { Database } from './database.ts'
import type { Queries, Transaction } from './transaction.ts'
import type { MoveVdis } from './move-vdis.ts'
import { moveVdis } from './move-vdis.ts'
import { handleInvalid } from '../object-errors.ts'
import type { FormatName } from '../format-table.ts'
import type { VdiTable } from './schema.ts'
import type { TaskOutcomes } from './tasks/task-outcome.ts'
import { requireStorage } from './vdi-storage.ts'

export type VdiRow = Readonly<VdiTable>

/** What may change of a VDI beside its content and its size. */
export type VdiUpdate = Partial<
  Pick<
    VdiRow,
    | 'cbtEnabled'
    | 'nameLabel'
    | 'nameDescription'
    | 'otherConfig'
    | 'sharable'
    | 'readOnly'
    | 'onBoot'
    | 'allowCaching'
    | 'smConfig'
    | 'requestedFormat'
    | 'xenstoreData'
    | 'tags'
  >
>

/** All but these has a default: an empty text or map, `user`, false, null, now. */
export interface NewVdi extends Partial<
  Omit<VdiTable, 'srUuid' | 'virtualSize' | 'format' | 'changedAt'>
> {
  readonly srUuid: string
  /** In bytes. */
  readonly virtualSize: number
  /** At rest. */
  readonly format: FormatName
}

/**
 * A method that takes a `taskRef` ends that task in the same transaction. It throws what
 * TaskOutcomes.succeed throws, and then changes nothing.
 */
export interface Vdis {
  /** The VDIs that a move brings, which nobody else sees; new ones are of the move too. */
  ofMove(incomingMoveUuid: string): Vdis

  /**
   * @throws AppError HANDLE_INVALID for an unknown SR, or a layer that is not there to stay;
   *   INVALID_VALUE for a field that is too large
   */
  create(vdi: NewVdi, taskRef?: string): Promise<VdiRow>

  /**
   * Makes a VDI out of another as it is at this moment: with nothing in between reads the row and
   * writes the new one.
   * @throws AppError HANDLE_INVALID if the source has gone; what `rowOf` throws
   */
  derive(sourceUuid: string, rowOf: (source: VdiRow) => NewVdi, taskRef?: string): Promise<VdiRow>

  get(uuid: string): Promise<VdiRow | undefined>

  /** In the order they were made. */
  list(): Promise<VdiRow[]>

  /** Of all of them. */
  uuids(): Promise<string[]>

  /** Of all VDIs that lie in a storage repository, those that moves bring among them. */
  uuidsIn(srUuid: string): Promise<string[]>

  /** The VDIs whose `snapshotOfUuid` is this one, in the order they were made. */
  snapshotsOf(uuid: string): Promise<VdiRow[]>

  /**
   * Reads the row, asks for the changes and writes them, with nothing in between.
   * @throws AppError HANDLE_INVALID if the VDI has gone; INVALID_VALUE for a field that is too
   *   large; what `change` throws
   */
  update(uuid: string, change: (vdi: VdiRow) => VdiUpdate): Promise<void>

  /**
   * Makes the VDI larger. No layer is touched; the new part reads as zeros.
   * @param virtualSize in bytes
   * @throws AppError HANDLE_INVALID if the VDI has gone; INVALID_VALUE for less than it has
   */
  resize(uuid: string, virtualSize: number, taskRef?: string): Promise<void>

  /**
   * All of the VDIs lie in another storage repository or format from now on, or none does.
   * @throws AppError HANDLE_INVALID for one that has gone, or a layer that is not there to stay;
   *   OTHER_OPERATION_IN_PROGRESS if one is not what it was, or has a snapshot that is not among
   *   them
   * @param madeUuid of the object that is the result of the task
   */
  move(moves: readonly MoveVdis[], taskRef: string | undefined, madeUuid: string): Promise<void>

  /** Its layers stay until they are claimed. @throws AppError HANDLE_INVALID if it has gone */
  destroy(uuid: string, taskRef?: string): Promise<void>
}

/** @param moveUuid of the VDIs that a move brings; null: of those that are here */
export const createVdis = (
  database: Database,
  now: () => Date,
  outcomes: TaskOutcomes,
  moveUuid: string | null = null,
): Vdis => {
  const inOrder = () => inOrderOf(database.db, moveUuid)
  const requireVdi = async (db: Queries, uuid: string): Promise<VdiRow> => {
    const vdi = await seen(db, moveUuid).selectAll().where('uuid', '=', uuid).executeTakeFirst()
    if (vdi === undefined) throw handleInvalid('VDI', uuid)
    return vdi
  }
  return {
    ofMove: (uuid) => createVdis(database, now, outcomes, uuid),
    create: (vdi, taskRef) =>
      database.transaction(async (transaction) => {
        if (moveUuid !== null) await requireRoomForVdi(transaction.db, moveUuid)
        const row = await insertVdi(transaction, { ...vdi, incomingMoveUuid: moveUuid }, now)
        await outcomes.succeed(transaction, taskRef, row.uuid)
        return row
      }),
    derive: (sourceUuid, rowOf, taskRef) =>
      database.transaction(async (transaction) => {
        if (moveUuid !== null) await requireRoomForVdi(transaction.db, moveUuid)
        const source = await requireVdi(transaction.db, sourceUuid)
        const row = await insertVdi(transaction, rowOf(source), now, source)
        await outcomes.succeed(transaction, taskRef, row.uuid)
        return row
      }),
    get: (uuid) =>
      seen(database.db, moveUuid).selectAll().where('uuid', '=', uuid).executeTakeFirst(),
    list: () => inOrder().execute(),
    uuidsIn: async (srUuid) => {
      const all = database.db.selectFrom('vdis').select('uuid').where('srUuid', '=', srUuid)
      return (await all.execute()).map(({ uuid }) => uuid)
    },
    uuids: async () =>
      (await seen(database.db, moveUuid).select('uuid').execute()).map(({ uuid }) => uuid),
    snapshotsOf: (uuid) => inOrder().where('snapshotOfUuid', '=', uuid).execute(),
    update: (uuid, change) =>
      database.transaction(async (transaction) => {
        const vdi = await requireVdi(transaction.db, uuid)
        const changes = change(vdi)
        requireWithin(objectBounds, changes, vdi)
        if (Object.keys(changes).length === 0) return
        await transaction.update('vdis', uuid, changes)
      }),
    resize: (uuid, virtualSize, taskRef) =>
      database.transaction(async (transaction) => {
        await outcomes.succeed(transaction, taskRef)
        const vdi = await requireVdi(transaction.db, uuid)
        if (virtualSize < vdi.virtualSize) throw wouldShrink(vdi, virtualSize)
        await transaction.update('vdis', uuid, { virtualSize, changedAt: now() })
      }),
    move: (moves, taskRef, madeUuid) =>
      database.transaction(async (transaction) => {
        await outcomes.succeed(transaction, taskRef, madeUuid)
        await moveVdis(transaction, moves, now())
      }),
    destroy: (uuid, taskRef) =>
      database.transaction(async (transaction) => {
        await outcomes.succeed(transaction, taskRef)
        await removeVdis(transaction, [await requireVdi(transaction.db, uuid)])
      }),
  }
}

/**
 * As Vdis.destroy, inside a transaction of another.
 * @returns the storage repositories where they lay
 */
export const removeVdis = async (
  transaction: Transaction,
  vdis: readonly Pick<VdiRow, 'uuid' | 'srUuid' | 'layerUuid'>[],
): Promise<string[]> => {
  await transaction.remove(
    'vdis',
    vdis.map(({ uuid }) => uuid),
  )
  const bySr = Map.groupBy(vdis, ({ srUuid }) => srUuid)
  for (const [srUuid, rows] of bySr) {
    const tops = rows.flatMap(({ layerUuid }) => layerUuid ?? [])
    if (tops.length > 0) await markDestroyed(transaction.db, srUuid, tops)
  }
  return [...bySr.keys()]
}

/**
 * As Vdis.create, inside a transaction of another.
 * @param source what it is made of: its fields may be as large as those
 */
export const insertVdi = async (
  transaction: Transaction,
  vdi: NewVdi,
  now: () => Date,
  source?: VdiRow,
): Promise<VdiRow> => {
  requireWithin(objectBounds, vdi, source)
  await requireStorage(transaction.db, vdi)
  const row = {
    ...defaults,
    createdAt: now(),
    ...vdi,
    changedAt: now(),
    uuid: vdi.uuid ?? randomUUID(),
  }
  if (row.incomingMoveUuid === null) await transaction.insert('vdis', row)
  else await transaction.untold.insertInto('vdis').values(row).execute()
  return row
}

const defaults = {
  nameLabel: '',
  nameDescription: '',
  otherConfig: {},
  layerUuid: null,
  contentUuid: null,
  contentAt: null,
  cbtEnabled: false,
  requestedFormat: null,
  type: 'user',
  sharable: false,
  readOnly: false,
  smConfig: {},
  xenstoreData: {},
  tags: [],
  isSnapshot: false,
  snapshotOfUuid: null,
  snapshotTime: null,
  missing: false,
  onBoot: 'persist',
  allowCaching: false,
  incomingMoveUuid: null,
} as const

const seen = (db: Queries, moveUuid: string | null) =>
  db.selectFrom('vdis').where('incomingMoveUuid', moveUuid === null ? 'is' : '=', moveUuid)

const inOrderOf = (db: Queries, moveUuid: string | null) =>
  seen(db, moveUuid).selectAll().orderBy('createdAt').orderBy('uuid')

const wouldShrink = ({ uuid, virtualSize }: VdiRow, asked: number): AppError => {
  const found = `it has ${formatBytes(virtualSize, asked)}, ${formatBytes(asked, virtualSize)} were asked for`
  const message = `VDI Invalid size: the VDI ${uuid} cannot be made smaller: ${found}`
  return new AppError('INVALID_VALUE', ['size', String(asked)], { message })
}
