// When an image of a VDI last became another: for conditions by date. Of those that are there it is
// only known that it was before now.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('vdis').addColumn('changed_at', 'timestamptz').execute()
  await sql`update vdis set changed_at = ${new Date()}`.execute(db)
}
