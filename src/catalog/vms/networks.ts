// Networks: there is one, so that VIFs have something to name.

import type { Database } from '../database.ts'
import type { NamedObjects } from '../named-objects.ts'
import { createNamedObjects } from '../named-objects.ts'
import type { NetworkTable } from './vm-tables.ts'

export type NetworkRow = Readonly<NetworkTable>

export type NetworkChanges = Partial<
  Pick<NetworkRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'tags' | 'mtu'>
>

export type Networks = NamedObjects<NetworkTable, NetworkChanges>

export const createNetworks = (database: Database, now: () => Date): Networks =>
  createNamedObjects(database, now, 'networks', 'network')
