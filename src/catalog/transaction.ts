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
  vms: 'VM',
  vbds: 'VBD',
  vifs: 'VIF',
  networks: 'network',
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

/** The classes whose objects show a row that names them in this column. */
const neighbours: Readonly<
  Record<ObservedTable, Readonly<Partial<Record<NeighbourColumn, ObservedClass>>>>
> = {
  pools: {},
  hosts: {},
  sms: {},
  srs: {},
  vdis: { srUuid: 'SR', snapshotOfUuid: 'VDI' },
  vms: { snapshotOfUuid: 'VM', parentUuid: 'VM' },
  vbds: { vmUuid: 'VM', vdiUuid: 'VDI' },
  vifs: { vmUuid: 'VM', networkUuid: 'network' },
  networks: {},
  tasks: { subtaskOfUuid: 'task' },
  users: {},
}

type NeighbourColumn =
  | 'srUuid'
  | 'snapshotOfUuid'
  | 'parentUuid'
  | 'vmUuid'
  | 'vdiUuid'
  | 'networkUuid'
  | 'subtaskOfUuid'

/** Rows that name one of the table in a column, and go or name none when that goes. */
interface Reference {
  readonly table: ObservedTable
  readonly column: string
}

/** They name none then: the database sees to that. */
const dependents: Partial<Record<ObservedTable, readonly Reference[]>> = {
  vdis: [{ table: 'vdis', column: 'snapshotOfUuid' }],
  tasks: [{ table: 'tasks', column: 'subtaskOfUuid' }],
  srs: [{ table: 'pools', column: 'defaultSrUuid' }],
  vms: [{ table: 'vms', column: 'parentUuid' }],
}

/** They go first. */
const owned: Partial<Record<ObservedTable, readonly Reference[]>> = {
  vdis: [{ table: 'vbds', column: 'vdiUuid' }],
  vms: [
    { table: 'vbds', column: 'vmUuid' },
    { table: 'vifs', column: 'vmUuid' },
  ],
}

export const createTransaction = (db: Kysely<Tables>, { touch }: Touches): Transaction => {
  const remove = async (table: ObservedTable, uuids: readonly string[]): Promise<number> => {
    if (uuids.length === 0) return 0
    const rows = await rowsOf(db, table, uuids)
    for (const reference of owned[table] ?? []) {
      await remove(reference.table, await referring(db, reference, uuids))
    }
    const others = await Promise.all(
      (dependents[table] ?? []).map(async (reference) => ({
        className: observed[reference.table],
        uuids: await referring(db, reference, uuids),
      })),
    )
    await db.deleteFrom(asAny(table)).where('uuid', 'in', among(uuids)).execute()
    for (const row of rows) {
      touch(observed[table], row.uuid, 'del')
      touchNeighbours(table, row, touch)
    }
    for (const { className, uuids } of others) for (const uuid of uuids) touch(className, uuid)
    return rows.length
  }
  return {
    db,
    untold: db,
    touch,
    async insert(table, row) {
      await db
        .insertInto(asAny(table))
        .values(row as AnyRow)
        .execute()
      touch(observed[table], row.uuid, 'add')
      touchNeighbours(table, row, touch)
    },
    async update(table, uuid, changes) {
      const before = changesNeighbours(table, changes) ? await rowsOf(db, table, [uuid]) : []
      const { numUpdatedRows } = await db
        .updateTable(asAny(table))
        .set(changes as Partial<AnyRow>)
        .where('uuid', '=', uuid)
        .executeTakeFirst()
      if (numUpdatedRows === 0n) return false
      touch(observed[table], uuid)
      for (const row of before) touchNeighbours(table, onlyChanged(row, changes), touch)
      touchNeighbours(table, changes, touch)
      return true
    },
    remove,
  }
}

/** Only columns that all these tables have are named here, which Kysely's types cannot tell. */
type AnyRow = Tables['pools']

const asAny = (table: ObservedTable): 'pools' => table as 'pools'

type Neighbours = Readonly<Partial<Record<NeighbourColumn, string | null>>>

const rowsOf = async (
  db: Queries,
  table: ObservedTable,
  uuids: readonly string[],
): Promise<(Neighbours & { readonly uuid: string })[]> =>
  db.selectFrom(asAny(table)).selectAll().where('uuid', 'in', among(uuids)).execute()

const columnsOf = (table: ObservedTable): NeighbourColumn[] =>
  Object.keys(neighbours[table]) as NeighbourColumn[]

/** Whether an update of a VDI changes what its storage repository holds. */
const changesStorage = (changes: object): boolean =>
  'srUuid' in changes || 'virtualSize' in changes || 'layerUuid' in changes

const changesNeighbours = (table: ObservedTable, changes: object): boolean =>
  (table === 'vdis' && changesStorage(changes)) ||
  columnsOf(table).some((column) => column in changes)

/** Of a row before an update: the neighbours that it no longer has, or that hold what changes. */
const onlyChanged = (row: Neighbours, changes: object): Neighbours => ({
  ...Object.fromEntries(Object.entries(row).filter(([column]) => column in changes)),
  ...(changesStorage(changes) && row.srUuid ? { srUuid: row.srUuid } : {}),
})

/** The VDIs of a storage repository, the snapshots of a VDI, the disks of a VM and so on. */
const touchNeighbours = (table: ObservedTable, row: object, touch: Touches['touch']): void => {
  const uuids: Neighbours = row
  for (const [column, className] of Object.entries(neighbours[table])) {
    const uuid = uuids[column as NeighbourColumn]
    if (uuid) touch(className, uuid)
  }
}

/** The rows that refer to one of `uuids`. */
const referring = async (
  db: Queries,
  { table, column }: Reference,
  uuids: readonly string[],
): Promise<readonly string[]> => {
  const rows = await db
    .selectFrom(asAny(table))
    .select('uuid')
    .where(sql.ref(column), 'in', among(uuids))
    .execute()
  return rows.map(({ uuid }) => uuid)
}
