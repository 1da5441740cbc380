// Transactions as the parts of the catalog see them. Rows that clients see are written through
// `insert`, `update` and `remove` alone, which record what changes for clients; database.ts tells
// it when the transaction has been committed. No method can forget to tell.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { ObservedClass, Touches } from './changes.ts'
import type { Tables } from './schema.ts'
import { among } from './sqlite/among.ts'

/** The tables whose rows clients see, with the class of each. */
const observed = {
  pools: 'pool',
  hosts: 'host',
  sms: 'SM',
  srs: 'SR',
  vdis: 'VDI',
  tasks: 'task',
  users: 'user',
} as const satisfies Partial<Record<keyof Tables, ObservedClass>>

type ObservedTable = keyof typeof observed

/** Reads, of the whole catalog or inside one transaction. */
export type Queries = Pick<Kysely<Tables>, 'selectFrom' | 'withRecursive'>

type Writes<T> = Pick<Kysely<T>, 'insertInto' | 'updateTable' | 'deleteFrom'>

/** Reads, and writes of rows that no client sees: layers and sessions. */
export type Statements = Queries & Writes<Omit<Tables, ObservedTable>>

export interface Transaction {
  readonly db: Statements

  readonly insert: <Table extends ObservedTable>(table: Table, row: Tables[Table]) => Promise<void>

  /** @returns whether there is such a row */
  readonly update: <Table extends ObservedTable>(
    table: Table,
    uuid: string,
    changes: Partial<Tables[Table]>,
  ) => Promise<boolean>

  /** Harmless for unknown ones. @returns how many there were */
  readonly remove: (table: ObservedTable, uuids: readonly string[]) => Promise<number>

  /** For what clients see change without a change of the row. */
  readonly touch: Touches['touch']

  /** Writes that are no news: clients know already, or nobody can be listening yet. */
  readonly untold: Kysely<Tables>
}

export const createTransaction = (db: Kysely<Tables>, { touch }: Touches): Transaction => ({
  db,
  untold: db,
  touch,
  async insert(table, row) {
    await db
      .insertInto(asAny(table))
      .values(row as AnyRow)
      .execute()
    touch(observed[table], row.uuid, 'add')
    touchNeighbours(row, touch)
  },
  async update(table, uuid, changes) {
    const before = changesStorage(changes) ? await rowsOf(db, table, [uuid]) : []
    const { numUpdatedRows } = await db
      .updateTable(asAny(table))
      .set(changes as Partial<AnyRow>)
      .where('uuid', '=', uuid)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) return false
    touch(observed[table], uuid)
    for (const { srUuid } of before) touchNeighbours({ srUuid }, touch)
    touchNeighbours(changes, touch)
    return true
  },
  async remove(table, uuids) {
    if (uuids.length === 0) return 0
    const rows = await rowsOf(db, table, uuids)
    const dependents = await dependentsOf(db, table, uuids)
    await db.deleteFrom(asAny(table)).where('uuid', 'in', among(uuids)).execute()
    for (const row of rows) {
      touch(observed[table], row.uuid, 'del')
      touchNeighbours(row, touch)
    }
    for (const uuid of dependents) touch(table === 'srs' ? 'pool' : observed[table], uuid)
    return rows.length
  },
})

/** Only columns that all these tables have are named here, which Kysely's types cannot tell. */
type AnyRow = Tables['pools']

const asAny = (table: ObservedTable): 'pools' => table as 'pools'

/** What clients see of other objects in a row. */
interface Neighbours {
  readonly srUuid?: string | undefined
  readonly snapshotOfUuid?: string | null
  readonly subtaskOfUuid?: string | null
}

const rowsOf = async (
  db: Queries,
  table: ObservedTable,
  uuids: readonly string[],
): Promise<(Neighbours & { readonly uuid: string })[]> =>
  db.selectFrom(asAny(table)).selectAll().where('uuid', 'in', among(uuids)).execute()

/** Whether an update of a VDI changes what its storage repository holds. */
const changesStorage = (changes: object): boolean =>
  'srUuid' in changes || 'virtualSize' in changes || 'layerUuid' in changes

/** The VDIs of a storage repository, the snapshots of a VDI, the parts of a task. */
const touchNeighbours = (row: object, touch: Touches['touch']): void => {
  const { srUuid, snapshotOfUuid, subtaskOfUuid }: Neighbours = row
  if (srUuid) touch('SR', srUuid)
  if (snapshotOfUuid) touch('VDI', snapshotOfUuid)
  if (subtaskOfUuid) touch('task', subtaskOfUuid)
}

/** The rows that refer to one of `uuids`; the database will clear their references. */
const dependentsOf = async (
  db: Queries,
  table: ObservedTable,
  uuids: readonly string[],
): Promise<readonly string[]> => {
  const find = async (dependent: 'vdis' | 'tasks' | 'pools', column: string): Promise<string[]> => {
    const rows = await db
      .selectFrom(asAny(dependent))
      .select('uuid')
      .where(sql.ref(column), 'in', among(uuids))
      .execute()
    return rows.map(({ uuid }) => uuid)
  }
  if (table === 'vdis') return find('vdis', 'snapshotOfUuid')
  if (table === 'tasks') return find('tasks', 'subtaskOfUuid')
  if (table === 'srs') return find('pools', 'defaultSrUuid')
  return []
}
