// Kysely's SQLite dialect on node:sqlite, with two corrections: SQLite can undo DDL, so a migration
// is one transaction; and a transaction takes the write lock when it begins, so that it never
// fails halfway for another process's sake.

import type { DatabaseSync } from 'node:sqlite'
import type { DatabaseConnection, Dialect, Driver } from 'kysely'
import {
  CompiledQuery,
  SqliteAdapter,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { adaptDatabase } from './statement.ts'

class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

class ImmediateDriver extends SqliteDriver {
  readonly #database: DatabaseSync

  constructor(database: DatabaseSync, onFailure: (error: unknown) => void) {
    super({ database: adaptDatabase(database, onFailure) })
    this.#database = database
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After a full disk or an I/O error SQLite has rolled back by itself; a second rollback would
    // hide the error.
    if (this.#database.isTransaction) await super.rollbackTransaction(connection)
  }
}

/**
 * The dialect owns `database` and closes it when the Kysely instance is destroyed.
 * @param onFailure told of each statement that fails
 */
export const createSqliteDialect = (
  database: DatabaseSync,
  onFailure: (error: unknown) => void = () => {},
): Dialect => ({
  createDriver: (): Driver => new ImmediateDriver(database, onFailure),
  createQueryCompiler: () => new SqliteQueryCompiler(),
  createAdapter: () => new TransactionalDdlAdapter(),
  createIntrospector: (db) => new SqliteIntrospector(db),
})
