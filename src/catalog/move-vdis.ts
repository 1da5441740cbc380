// VDIs go to another storage repository or format: the transaction that ends a migration. It takes
// place only if all of them are still what was copied, so that nothing is lost.

import type { AppError } from '../errors.ts'
import type { Queries, Transaction } from './transaction.ts'
import { handleInvalid } from '../object-errors.ts'
import type { FormatName } from '../format-table.ts'
import type { VdiTable } from './schema.ts'
import { METADATA_ONLY } from './schema.ts'
import { requireStorage } from './vdi-storage.ts'
import { otherOperation } from '../object-errors.ts'

export interface MoveVdis {
  readonly srUuid: string
  /** At rest. */
  readonly format: FormatName
  readonly requestedFormat: FormatName | null
  readonly vdis: readonly VdiMove[]
}

interface VdiMove {
  /** The row when the copy of its content was begun. */
  readonly vdi: Readonly<VdiTable>
  /** Holds the same content; null: there is none. */
  readonly layerUuid: string | null
}

/** As Vdis.move, inside a transaction. */
export const moveVdis = async (
  transaction: Transaction,
  moves: readonly MoveVdis[],
  changedAt: Date,
): Promise<void> => {
  await requireAllSnapshots(
    transaction.db,
    moves.flatMap(({ vdis }) => vdis),
  )
  for (const move of moves) await moveTo(transaction, move, changedAt)
}

const moveTo = async (
  transaction: Transaction,
  { srUuid, format, requestedFormat, vdis }: MoveVdis,
  changedAt: Date,
): Promise<void> => {
  const { db } = transaction
  for (const { vdi, layerUuid } of vdis) {
    await requireSame(db, vdi)
    await requireStorage(db, { srUuid, layerUuid })
    // What an image of it looks like may be another: formats tell zeros from holes in units of
    // their own.
    const contentUuid = layerUuid
    const wasReadOnly = await isReadOnly(db, vdi.srUuid)
    await transaction.update('vdis', vdi.uuid, {
      srUuid,
      format,
      requestedFormat,
      layerUuid,
      contentUuid,
      changedAt,
      // It was so because of where it lay.
      ...(wasReadOnly && { readOnly: false }),
    })
  }
}

const isReadOnly = async (db: Queries, srUuid: string): Promise<boolean> => {
  const sr = await db
    .selectFrom('srs')
    .select('readOnly')
    .where('uuid', '=', srUuid)
    .executeTakeFirst()
  return sr?.readOnly === true
}

/** The same content of the same size: a merge of its layers does not matter. */
const requireSame = async (db: Queries, copied: Readonly<VdiTable>): Promise<void> => {
  const { uuid } = copied
  const vdi = await db
    .selectFrom('vdis')
    .select(['srUuid', 'contentUuid', 'virtualSize'])
    .where('uuid', '=', uuid)
    .executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
  const isSame =
    vdi.srUuid === copied.srUuid &&
    vdi.contentUuid === copied.contentUuid &&
    vdi.virtualSize === copied.virtualSize
  if (!isSame) throw changedMeanwhile(uuid, 'its content is no longer what was copied')
}

/** One that was taken meanwhile would stay behind. */
const requireAllSnapshots = async (db: Queries, vdis: readonly VdiMove[]): Promise<void> => {
  const moved = new Set(vdis.map(({ vdi }) => vdi.uuid))
  for (const { vdi } of vdis) {
    const snapshots = await db
      .selectFrom('vdis')
      .select('uuid')
      .where('snapshotOfUuid', '=', vdi.uuid)
      .where('type', '!=', METADATA_ONLY)
      .execute()
    const left = snapshots.find(({ uuid }) => !moved.has(uuid))
    if (left === undefined) continue
    throw changedMeanwhile(vdi.uuid, `it has the snapshot ${left.uuid}, which was not copied`)
  }
}

const changedMeanwhile = (uuid: string, found: string): AppError =>
  otherOperation('VDI', uuid, `The VDI ${uuid} was changed meanwhile: ${found}`)
