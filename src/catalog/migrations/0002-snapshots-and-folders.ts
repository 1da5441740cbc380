// What snapshots, changed blocks and storage repositories on folders that are there already need to
// remember. Types are the portable ones, as in 0001.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

const alterDisks = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('vdis').addColumn('content_uuid', 'text').execute()
  await db.schema.alterTable('vdis').addColumn('content_at', 'timestamptz').execute()
  await db.schema
    .alterTable('vdis')
    .addColumn('cbt_enabled', 'boolean', (column) => column.notNull().defaultTo(sql`false`))
    .execute()
  await sql`
    update vdis set
      content_uuid = layer_uuid,
      content_at = (select created_at from layers where layers.uuid = vdis.layer_uuid)
  `.execute(db)
  await db.schema
    .alterTable('layers')
    .addColumn('has_data', 'boolean', (column) => column.notNull().defaultTo(sql`true`))
    .execute()
  await db.schema.alterTable('layers').addColumn('file_name', 'text').execute()
  await db.schema.alterTable('layers').addColumn('file_stamp', 'text').execute()
}

const alterStorage = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('srs')
    .addColumn('device_config', 'json', (column) => column.notNull().defaultTo('{}'))
    .execute()
  await db.schema
    .alterTable('srs')
    .addColumn('read_only', 'boolean', (column) => column.notNull().defaultTo(sql`false`))
    .execute()
}

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await alterDisks(db)
  await alterStorage(db)
}
