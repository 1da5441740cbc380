// VMs on their way between two servers: what the source of a move remembers, what the destination
// does, and the VDIs that are seen by a move alone. Types are the portable ones, as in 0001.

import type { Kysely } from 'kysely'
import { sql } from 'kysely'

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('outgoing_moves')
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('vm_uuid', 'text', (column) => column.notNull().unique())
    .addColumn('state', 'text', (column) =>
      column.notNull().check(sql`state in ('copying', 'committing')`),
    )
    .addColumn('copies', 'boolean', (column) => column.notNull())
    .addColumn('task_uuid', 'text')
    .addColumn('vdi_uuids', 'json', (column) => column.notNull())
    .addColumn('remote', 'json', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('incoming_moves')
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('secret_hash', 'text', (column) => column.notNull().unique())
    .addColumn('user_uuid', 'text', (column) =>
      column.references('users.uuid').onDelete('set null'),
    )
    .addColumn('network_uuid', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) =>
      column.notNull().check(sql`state in ('open', 'committed')`),
    )
    // Of a committed move: it may be destroyed before the source has asked.
    .addColumn('vm_uuid', 'text')
    .addColumn('created_at', 'timestamptz', (column) => column.notNull())
    .addColumn('last_active_at', 'timestamptz', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('incoming_vms')
    .addColumn('uuid', 'text', (column) => column.primaryKey().notNull())
    .addColumn('incoming_move_uuid', 'text', (column) =>
      column.notNull().references('incoming_moves.uuid').onDelete('cascade'),
    )
    .addColumn('position', 'bigint', (column) => column.notNull())
    .addColumn('vm', 'json', (column) => column.notNull())
    .addColumn('vbds', 'json', (column) => column.notNull())
    .addColumn('vifs', 'json', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('incoming_vms_incoming_move_uuid')
    .on('incoming_vms')
    .column('incoming_move_uuid')
    .execute()
  await db.schema.alterTable('vdis').addColumn('incoming_move_uuid', 'text').execute()
  await db.schema
    .createIndex('vdis_incoming_move_uuid')
    .on('vdis')
    .column('incoming_move_uuid')
    .execute()
}
