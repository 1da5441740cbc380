// The pool: one row, the root of what XenAPI clients look at first.

import type { Database } from './database.ts'
import type { NamedObjects } from './named-objects.ts'
import { createNamedObjects } from './named-objects.ts'
import type { PoolTable } from './schema.ts'

export type PoolRow = Readonly<PoolTable>

export type PoolUpdate = Partial<
  Pick<PoolRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'tags' | 'defaultSrUuid'>
>

export type Pools = NamedObjects<PoolTable, PoolUpdate>

export const createPools = (database: Database, now: () => Date): Pools =>
  createNamedObjects(database, now, 'pools', 'pool')
