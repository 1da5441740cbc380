// A list of values in a statement as one parameter: SQLite takes a limited number of them, and each
// length of list would be a statement of its own.

import type { RawBuilder } from 'kysely'
import { sql } from 'kysely'

/** What stands after `in`. */
export const among = (values: Iterable<string>): RawBuilder<string> =>
  sql<string>`(select value from json_each(${JSON.stringify([...values])}))`
