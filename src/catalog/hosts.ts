// Hosts: one row for each server that has used this catalog; for now there is one.

import type { Database } from './database.ts'
import type { NamedObjects } from './named-objects.ts'
import { createNamedObjects } from './named-objects.ts'
import type { HostTable } from './schema.ts'

export type HostRow = Readonly<HostTable>

export type HostUpdate = Partial<
  Pick<HostRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'tags' | 'hostname' | 'address'>
>

export type Hosts = NamedObjects<HostTable, HostUpdate>

export const createHosts = (database: Database, now: () => Date): Hosts =>
  createNamedObjects(database, now, 'hosts', 'host')
