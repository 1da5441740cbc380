// A node:sqlite database as Kysely wants to see one, and what SQLite, which has only numbers and
// texts, makes of the portable column types: by the type that a column was declared with.

import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import type { SqliteDatabase, SqliteStatement } from 'kysely'

type Read = (value: SQLOutputValue) => unknown

/** Stored → value, by declared column type; all other types are what SQLite gives. */
const readers: Readonly<Record<string, Read>> = {
  boolean: (value) => value !== 0,
  timestamptz: (value) => new Date(String(value)),
  json: (value) => JSON.parse(String(value)) as unknown,
}

/** Value → stored. ISO 8601 in UTC with milliseconds, so that times sort as texts. */
const bind = (value: unknown): SQLInputValue => {
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    return JSON.stringify(value)
  }
  return value as SQLInputValue
}

/** @param onFailure told of each statement that fails, before the error goes on */
export const adaptDatabase = (
  database: DatabaseSync,
  onFailure: (error: unknown) => void,
): SqliteDatabase => ({
  close() {
    database.close()
  },
  prepare(text): SqliteStatement {
    const statement = database.prepare(text)
    const columns = statement.columns()
    const read = (row: Record<string, SQLOutputValue>): Record<string, unknown> => {
      const values: Record<string, unknown> = { ...row }
      for (const { name, type } of columns) {
        const reader = type === null ? undefined : readers[type]
        const value = row[name]
        if (reader !== undefined && value !== undefined && value !== null) {
          values[name] = reader(value)
        }
      }
      return values
    }
    const watched = <Result>(run: () => Result): Result => {
      try {
        return run()
      } catch (error) {
        onFailure(error)
        throw error
      }
    }
    return {
      reader: columns.length > 0,
      all: (parameters) => watched(() => statement.all(...parameters.map(bind)).map(read)),
      run: (parameters) => watched(() => statement.run(...parameters.map(bind))),
      *iterate(parameters) {
        for (const row of statement.iterate(...parameters.map(bind))) yield read(row)
      },
    }
  },
})
