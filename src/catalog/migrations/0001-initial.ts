// The first tables. A released migration never changes again: a later one alters what this made.
// Types are the portable ones; what SQLite makes of them is in sqlite/statement.ts.

import type { CreateTableBuilder, Kysely } from 'kysely'
import { sql } from 'kysely'

type Column = 'uuid' | 'name_label' | 'name_description' | 'other_config' | 'created_at'

/** The columns that every object with a XenAPI name has. */
const named = (db: Kysely<unknown>, table: string): CreateTableBuilder<string, Column> =>
  db.schema
    .createTable(table)
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('name_label', 'text', (column) => column.notNull())
    .addColumn('name_description', 'text', (column) => column.notNull())
    .addColumn('other_config', 'json', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz', (column) => column.notNull())

const formats = sql`('raw', 'vhd', 'qcow2')`

const createStorage = async (db: Kysely<unknown>): Promise<void> => {
  await named(db, 'sms')
    .addColumn('type', 'text', (column) => column.notNull().unique())
    .addColumn('supported_image_formats', 'json', (column) => column.notNull())
    .execute()
  await named(db, 'srs')
    .addColumn('type', 'text', (column) => column.notNull().references('sms.type'))
    .addColumn('content_type', 'text', (column) => column.notNull())
    .addColumn('shared', 'boolean', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('default_format', 'text', (column) =>
      column.notNull().check(sql`default_format in ${formats}`),
    )
    .addColumn('sm_config', 'json', (column) => column.notNull())
    .addColumn('tags', 'json', (column) => column.notNull())
    .execute()
}

const createDisks = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('layers')
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('sr_uuid', 'text', (column) => column.notNull().references('srs.uuid'))
    .addColumn('parent_uuid', 'text', (column) => column.references('layers.uuid'))
    .addColumn('format', 'text', (column) => column.notNull().check(sql`format in ${formats}`))
    .addColumn('state', 'text', (column) =>
      column.notNull().check(sql`state in ('writing', 'sealed', 'deleting')`),
    )
    .addColumn('virtual_size', 'bigint', (column) => column.notNull().check(sql`virtual_size > 0`))
    .addColumn('file_size', 'bigint', (column) => column.notNull().check(sql`file_size >= 0`))
    .addColumn('created_at', 'timestamptz', (column) => column.notNull())
    .execute()
  await named(db, 'vdis')
    .addColumn('sr_uuid', 'text', (column) => column.notNull().references('srs.uuid'))
    .addColumn('virtual_size', 'bigint', (column) => column.notNull().check(sql`virtual_size > 0`))
    .addColumn('layer_uuid', 'text', (column) => column.references('layers.uuid'))
    .addColumn('format', 'text', (column) => column.notNull().check(sql`format in ${formats}`))
    .addColumn('requested_format', 'text', (column) =>
      column.check(sql`requested_format in ${formats}`),
    )
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('sharable', 'boolean', (column) => column.notNull())
    .addColumn('read_only', 'boolean', (column) => column.notNull())
    .addColumn('sm_config', 'json', (column) => column.notNull())
    .addColumn('xenstore_data', 'json', (column) => column.notNull())
    .addColumn('tags', 'json', (column) => column.notNull())
    .addColumn('is_snapshot', 'boolean', (column) => column.notNull())
    .addColumn('snapshot_of_uuid', 'text', (column) =>
      column.references('vdis.uuid').onDelete('set null'),
    )
    .addColumn('snapshot_time', 'timestamptz')
    .execute()
  // Foreign keys look their children up at each delete.
  await index(db, 'layers', 'sr_uuid')
  await index(db, 'layers', 'parent_uuid')
  await index(db, 'vdis', 'sr_uuid')
  await index(db, 'vdis', 'layer_uuid')
  await index(db, 'vdis', 'snapshot_of_uuid')
}

const createPool = async (db: Kysely<unknown>): Promise<void> => {
  await named(db, 'hosts')
    .addColumn('hostname', 'text', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('tags', 'json', (column) => column.notNull())
    .execute()
  await named(db, 'pools')
    .addColumn('master_uuid', 'text', (column) => column.notNull().references('hosts.uuid'))
    .addColumn('default_sr_uuid', 'text', (column) =>
      column.references('srs.uuid').onDelete('set null'),
    )
    .addColumn('tags', 'json', (column) => column.notNull())
    .execute()
}

const createUsers = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('users')
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('password_hash', 'text', (column) => column.notNull())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('sessions')
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('ref_hash', 'text', (column) => column.notNull().unique())
    .addColumn('user_uuid', 'text', (column) =>
      column.notNull().references('users.uuid').onDelete('cascade'),
    )
    .addColumn('originator', 'text', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz', (column) => column.notNull())
    .addColumn('last_active_at', 'timestamptz', (column) => column.notNull())
    .execute()
  await index(db, 'sessions', 'user_uuid')
}

const createTasks = async (db: Kysely<unknown>): Promise<void> => {
  const statuses = sql`('pending', 'success', 'failure', 'cancelling', 'cancelled')`
  await named(db, 'tasks')
    .addColumn('status', 'text', (column) => column.notNull().check(sql`status in ${statuses}`))
    .addColumn('progress', 'double precision', (column) =>
      column.notNull().check(sql`progress between 0 and 1`),
    )
    .addColumn('result', 'text', (column) => column.notNull())
    .addColumn('error_info', 'json', (column) => column.notNull())
    .addColumn('user_uuid', 'text', (column) =>
      column.references('users.uuid').onDelete('set null'),
    )
    .addColumn('subtask_of_uuid', 'text', (column) =>
      column.references('tasks.uuid').onDelete('set null'),
    )
    .addColumn('has_transfer', 'boolean', (column) => column.notNull())
    .addColumn('finished_at', 'timestamptz')
    .execute()
  await index(db, 'tasks', 'user_uuid')
  await index(db, 'tasks', 'subtask_of_uuid')
}

const index = (db: Kysely<unknown>, table: string, column: string): Promise<void> =>
  db.schema.createIndex(`${table}_${column}`).on(table).column(column).execute()

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await createStorage(db)
  await createDisks(db)
  await createPool(db)
  await createUsers(db)
  await createTasks(db)
}
