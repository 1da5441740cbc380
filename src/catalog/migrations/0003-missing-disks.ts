// Which VDIs have lost a file of theirs, until it comes back.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('vdis')
    .addColumn('missing', 'boolean', (column) => column.notNull().defaultTo(sql`false`))
    .execute()
}
