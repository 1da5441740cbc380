// What pools, hosts, storage managers, storage repositories and networks have in common: rows with
// a uuid and a name, few, read whole and changed by clients field by field.

import { randomUUID } from 'node:crypto'
import { objectBounds, requireWithin } from './bounds.ts'
import type { Database } from './database.ts'
import type { Queries } from './transaction.ts'
import { handleInvalid } from '../object-errors.ts'
import type { Tables } from './schema.ts'

type ObjectTable = 'pools' | 'hosts' | 'sms' | 'srs' | 'networks'

/** A row to be made. Names may be missing; the catalog sets uuid and time. */
export type NewObject<Row> = Omit<Row, 'uuid' | 'createdAt' | keyof Names> &
  Partial<Names> & { readonly uuid?: string }

interface Names {
  nameLabel: string
  nameDescription: string
  otherConfig: Readonly<Record<string, string>>
}

export interface NamedObjects<Row, Changes> {
  /** @throws AppError INVALID_VALUE for a field that is too large */
  create(object: NewObject<Row>): Promise<Readonly<Row>>

  get(uuid: string): Promise<Readonly<Row> | undefined>

  /** In the order they were made. */
  list(): Promise<Readonly<Row>[]>

  /**
   * Reads the row, asks for the changes and writes them, with nothing in between.
   * @throws AppError HANDLE_INVALID if the object has gone; INVALID_VALUE for a field that is too
   *   large; what `change` throws
   */
  update(uuid: string, change: (row: Readonly<Row>) => Changes): Promise<void>
}

/** @param className the class as HANDLE_INVALID names it */
export const createNamedObjects = <Table extends ObjectTable, Changes extends object>(
  database: Database,
  now: () => Date,
  table: Table,
  className: string,
): NamedObjects<Tables[Table], Changes> => {
  type Row = Tables[Table]
  // The queries touch only columns that all of these tables have; Kysely's types cannot say so.
  const name = table as 'pools'
  const select = (db: Queries) => db.selectFrom(name).selectAll()
  const find = async (db: Queries, uuid: string): Promise<Row | undefined> =>
    (await select(db).where('uuid', '=', uuid).executeTakeFirst()) as Row | undefined
  const require = async (db: Queries, uuid: string): Promise<Row> => {
    const row = await find(db, uuid)
    if (row === undefined) throw handleInvalid(className, uuid)
    return row
  }
  return {
    create: (object) =>
      database.transaction(async (transaction) => {
        const uuid = object.uuid ?? randomUUID()
        const row = { ...defaults, ...object, uuid, createdAt: now() }
        requireWithin(objectBounds, row)
        await transaction.insert(name, row as unknown as Tables['pools'])
        return require(transaction.db, uuid)
      }),
    get: (uuid) => find(database.db, uuid),
    list: async () =>
      (await select(database.db)
        .orderBy('createdAt')
        .orderBy('uuid')
        .execute()) as unknown as Row[],
    update: (uuid, change) =>
      database.transaction(async (transaction) => {
        const row = await require(transaction.db, uuid)
        const changes = change(row)
        requireWithin(objectBounds, changes, row)
        if (Object.keys(changes).length === 0) return
        await transaction.update(name, uuid, changes)
      }),
  }
}

const defaults: Names = { nameLabel: '', nameDescription: '', otherConfig: {} }
