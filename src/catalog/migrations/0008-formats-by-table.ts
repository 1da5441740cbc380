// Formats are no longer listed in the tables but in format-table.ts alone: their columns are made
// again without the checks. A column cannot lose its check otherwise in SQLite.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

/** The default is what a column of SQLite that is added must have; every row says its format. */
const columns = [
  { table: 'srs', name: 'default_format', isNullable: false },
  { table: 'layers', name: 'format', isNullable: false },
  { table: 'vdis', name: 'format', isNullable: false },
  { table: 'vdis', name: 'requested_format', isNullable: true },
] as const

export const up = async (db: Kysely<unknown>): Promise<void> => {
  for (const { table, name, isNullable } of columns) {
    const added = `new_${name}`
    await db.schema
      .alterTable(table)
      .addColumn(added, 'text', (column) =>
        isNullable ? column : column.notNull().defaultTo('raw'),
      )
      .execute()
    await sql`update ${sql.table(table)} set ${sql.ref(added)} = ${sql.ref(name)}`.execute(db)
    await db.schema.alterTable(table).dropColumn(name).execute()
    await db.schema.alterTable(table).renameColumn(added, name).execute()
  }
}
