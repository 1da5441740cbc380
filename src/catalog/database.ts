// The open database: dialect, names and migrations put together. catalog.ts calls it; the parts of
// the catalog see only Database.

import { CamelCasePlugin, Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { AppError, toAppError } from '../errors.ts'
import type { Changes } from './changes.ts'
import { createChanges, createTouches } from './changes.ts'
import { migrations } from './migrations/migrations.ts'
import { requireKnownFormats } from './require-known-formats.ts'
import type { Tables } from './schema.ts'
import { createSqliteDialect } from './sqlite/dialect.ts'
import { openSqlite, sqliteWithoutSync } from './sqlite/open.ts'
import type { Queries, Transaction } from './transaction.ts'
import { createTransaction } from './transaction.ts'
import { createWriteWatch } from './write-watch.ts'

export interface Database {
  readonly db: Queries

  /** Told of what each transaction has changed, once it has been committed. */
  readonly changes: Changes

  /** One transaction: all of `work` or none of it, on the disk when the promise has settled. */
  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result>

  /**
   * One transaction that a power cut may undo as a whole; it costs no wait for the disk. For what
   * is only news: progress, the time of a session's last call.
   */
  transactionWithoutSync<Result>(
    work: (transaction: Transaction) => Promise<Result>,
  ): Promise<Result>

  /** Why nothing can be written, for people; undefined: it can. */
  whyUnwritable(): Promise<string | undefined>

  close(): Promise<void>
}

/**
 * `migrate`: makes the file where it is missing and brings it to this version's tables. `keep`:
 * opens only a file that has them, for a process beside the server, whose tables must not change
 * under it.
 */
export type TablesMode = 'migrate' | 'keep'

const MIGRATION_TABLE = 'schema_migrations'

/** The migrations that the file has seen, by name; none for a new one. */
const appliedMigrations = async (db: Kysely<Tables>): Promise<string[]> => {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === MIGRATION_TABLE)) return []
  const { rows } = await sql<{
    name: string
  }>`select name from ${sql.table(MIGRATION_TABLE)}`.execute(db)
  return rows.map((row) => row.name)
}

const migrate = async (db: Kysely<Tables>, mode: TablesMode): Promise<void> => {
  const applied = await appliedMigrations(db)
  const unknown = applied.filter((name) => !(name in migrations))
  if (unknown.length > 0) {
    const known = Object.keys(migrations).at(-1)
    throw new Error(
      `a newer version of diskport wrote it: it has ${unknown.join(', ')}, ` +
        `this version knows nothing after ${known}`,
    )
  }
  if (mode === 'keep') {
    const missing = Object.keys(migrations).filter((name) => !applied.includes(name))
    if (missing.length === 0) return
    throw new Error(
      `an older version of diskport wrote it: it lacks ${missing.join(', ')}, ` +
        'which the server of this version adds when it starts',
    )
  }
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: `${MIGRATION_TABLE}_lock`,
  })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw toAppError(error)
}

/**
 * @throws AppError INTERNAL_ERROR naming the path: not a database, unreadable, or of another
 *   version
 */
export const openDatabase = async (
  path: string,
  mode: TablesMode = 'migrate',
): Promise<Database> => {
  let db: Kysely<Tables> | undefined
  // The number is not used; SQLite writes it whatever it is.
  const probe = (): Promise<void> =>
    sqliteWithoutSync(db!, async (db) => void (await sql`pragma user_version = 0`.execute(db)))
  const watch = createWriteWatch(path, probe)
  try {
    const dialect = createSqliteDialect(openSqlite(path), (error) => watch.failed(error))
    db = new Kysely<Tables>({
      dialect,
      plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
    })
    await migrate(db, mode)
    await requireKnownFormats(db)
  } catch (error) {
    await db?.destroy()
    const found = `Cannot open the catalog ${path}: ${toAppError(error).message}`
    throw new AppError('INTERNAL_ERROR', [found], { cause: error })
  }
  const opened = db
  const changes = createChanges()
  type Run = <Result>(work: (db: Kysely<Tables>) => Promise<Result>) => Promise<Result>
  const runTold = async <Result>(
    run: Run,
    work: (transaction: Transaction) => Promise<Result>,
  ): Promise<Result> => {
    const touches = createTouches()
    const result = await run((db) => work(createTransaction(db, touches)))
    for (const { className, uuid, operation } of touches.list()) {
      changes.emit(className, uuid, operation)
    }
    return result
  }
  return {
    db: opened,
    changes,
    transaction: (work) => runTold((run) => opened.transaction().execute(run), work),
    transactionWithoutSync: (work) => runTold((run) => sqliteWithoutSync(opened, run), work),
    whyUnwritable: () => watch.whyUnwritable(),
    close: () => opened.destroy(),
  }
}
