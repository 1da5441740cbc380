// Which files of others may go when nobody needs them: those of VDIs that were destroyed.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('layers')
    .addColumn('destroyed', 'boolean', (column) => column.notNull().defaultTo(sql`false`))
    .execute()
}
