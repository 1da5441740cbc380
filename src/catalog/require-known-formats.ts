// Refuses a catalog whose rows name a format that this version does not have: columns hold any
// text, and what reads a row takes its format for one of the table. The opening of the database
// calls it.

import type { Kysely } from 'kysely'
import { formatNames, isFormatName } from '../format-table.ts'
import type { Tables } from './schema.ts'

/** @throws Error that names the format */
export const requireKnownFormats = async (db: Kysely<Tables>): Promise<void> => {
  const rows: readonly { readonly name: string | null }[] = await db
    .selectFrom('vdis')
    .select('requestedFormat as name')
    .union(db.selectFrom('vdis').select('format as name'))
    .union(db.selectFrom('layers').select('format as name'))
    .union(db.selectFrom('srs').select('defaultFormat as name'))
    .execute()
  const unknown = rows.flatMap(({ name }) => (name === null || isFormatName(name) ? [] : [name]))
  if (unknown.length === 0) return
  throw new Error(
    `a newer version of diskport wrote it: it has disks in ${unknown.join(', ')}, ` +
      `this version knows ${formatNames.join(', ')}`,
  )
}
