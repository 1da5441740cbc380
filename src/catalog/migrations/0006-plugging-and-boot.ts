// Whether a storage repository has a PBD and is plugged, and what a virtual machine would ask of a
// disk when it boots. Snapshots are no longer marked read-only: being a snapshot says it.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

const alterStorage = async (db: Kysely<unknown>): Promise<void> => {
  for (const name of ['has_pbd', 'is_plugged']) {
    await db.schema
      .alterTable('srs')
      .addColumn(name, 'boolean', (column) => column.notNull().defaultTo(sql`true`))
      .execute()
  }
  await db.schema
    .alterTable('srs')
    .addColumn('pbd_other_config', 'json', (column) => column.notNull().defaultTo('{}'))
    .execute()
}

const alterDisks = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('vdis')
    .addColumn('on_boot', 'text', (column) =>
      column
        .notNull()
        .defaultTo('persist')
        .check(sql`on_boot in ('persist', 'reset')`),
    )
    .execute()
  await db.schema
    .alterTable('vdis')
    .addColumn('allow_caching', 'boolean', (column) => column.notNull().defaultTo(sql`false`))
    .execute()
  await sql`update vdis set read_only = false where is_snapshot`.execute(db)
}

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await alterStorage(db)
  await alterDisks(db)
}
