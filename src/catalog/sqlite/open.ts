// Opens the catalog's file. The settings that promise "committed means on the disk" are here.

import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'

/** How long a statement waits for another process, such as the sqlite3 shell, in milliseconds. */
const BUSY_TIMEOUT = 5000

/** @param path of the file, made where it is missing, readable by its owner only; or `:memory:` */
export const openSqlite = (path: string): DatabaseSync => {
  if (path !== ':memory:') {
    // SQLite gives its -wal and -shm files the mode of the main one.
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  }
  const database = new DatabaseSync(path, {
    enableForeignKeyConstraints: true,
    timeout: BUSY_TIMEOUT,
  })
  try {
    database.exec('pragma journal_mode = wal')
    database.exec('pragma synchronous = full')
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

/** One transaction that is not synced: SQLite may forget it in a power cut, but never halves it. */
export const sqliteWithoutSync = <Tables, Result>(
  db: Kysely<Tables>,
  work: (transaction: Kysely<Tables>) => Promise<Result>,
): Promise<Result> =>
  db.connection().execute(async (connection) => {
    await sql`pragma synchronous = normal`.execute(connection)
    try {
      return await connection.transaction().execute(work)
    } finally {
      await sql`pragma synchronous = full`.execute(connection)
    }
  })
