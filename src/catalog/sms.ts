// Storage managers: one row for each type of storage repository, with the formats it can hold.

import type { Database } from './database.ts'
import type { NamedObjects } from './named-objects.ts'
import { createNamedObjects } from './named-objects.ts'
import type { SmTable } from './schema.ts'

export type SmRow = Readonly<SmTable>

export type SmUpdate = Partial<
  Pick<SmRow, 'nameLabel' | 'nameDescription' | 'otherConfig' | 'supportedImageFormats'>
>

export type Sms = NamedObjects<SmTable, SmUpdate>

export const createSms = (database: Database, now: () => Date): Sms =>
  createNamedObjects(database, now, 'sms', 'SM')
