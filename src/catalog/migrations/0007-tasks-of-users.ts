// Tasks are counted by user, pending and finished, and the oldest finished ones give way.

import type { Kysely } from 'kysely'

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createIndex('tasks_user_uuid_finished_at')
    .on('tasks')
    .columns(['user_uuid', 'finished_at', 'created_at'])
    .execute()
  // The new one begins with the same column.
  await db.schema.dropIndex('tasks_user_uuid').execute()
}
