// Each attempt to bring a VM has a row and a secret of its own, beside those of the invitation that
// host.migrate_receive gave: what an attempt that was given up left is never taken for another's.
// And its source remembers what it has sent, which the destination must have when it commits.

import type { Kysely } from 'kysely'

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('incoming_moves').addColumn('invitation_uuid', 'text').execute()
  await db.schema
    .alterTable('outgoing_moves')
    .addColumn('sent_vdis', 'json', (column) => column.notNull().defaultTo('[]'))
    .execute()
}
