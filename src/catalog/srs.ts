// Storage repositories: where layers lie, and in which formats. Sizes are not here: the store
// measures them when they are asked for.

import type { Database } from './database.ts'
import type { NamedObjects, NewObject } from './named-objects.ts'
import { createNamedObjects } from './named-objects.ts'
import type { FormatName } from '../format-table.ts'
import type { SrTable } from './schema.ts'

export interface SrRow extends Readonly<SrTable> {
  /** Those of the storage manager of its type. */
  readonly supportedFormats: readonly FormatName[]
}

export type SrUpdate = Partial<
  Pick<
    SrRow,
    | 'nameLabel'
    | 'nameDescription'
    | 'otherConfig'
    | 'smConfig'
    | 'tags'
    | 'shared'
    | 'path'
    | 'readOnly'
    | 'defaultFormat'
    | 'deviceConfig'
    | 'hasPbd'
    | 'isPlugged'
    | 'pbdOtherConfig'
  >
>

/** Plugged by a PBD unless told. */
type Plugging = 'hasPbd' | 'isPlugged' | 'pbdOtherConfig'

type NewSrRow = Omit<NewObject<SrTable>, Plugging> & Partial<Pick<SrTable, Plugging>>

export interface Srs extends Omit<NamedObjects<SrTable, SrUpdate>, 'create' | 'get' | 'list'> {
  create(sr: NewSrRow): Promise<SrRow>
  get(uuid: string): Promise<SrRow | undefined>

  /** In the order they were made. */
  list(): Promise<SrRow[]>
}

const plugged = { hasPbd: true, isPlugged: true, pbdOtherConfig: {} } as const

export const createSrs = (database: Database, now: () => Date): Srs => {
  const srs = createNamedObjects<'srs', SrUpdate>(database, now, 'srs', 'SR')
  const withFormats = async (rows: readonly Readonly<SrTable>[]): Promise<SrRow[]> => {
    const sms = await database.db
      .selectFrom('sms')
      .select(['type', 'supportedImageFormats'])
      .execute()
    const formats = new Map(sms.map((sm) => [sm.type, sm.supportedImageFormats]))
    return rows.map((sr) => ({ ...sr, supportedFormats: formats.get(sr.type) ?? [] }))
  }
  return {
    ...srs,
    create: async (sr) => (await withFormats([await srs.create({ ...plugged, ...sr })]))[0]!,
    async get(uuid) {
      const sr = await srs.get(uuid)
      return sr && (await withFormats([sr]))[0]
    },
    list: async () => withFormats(await srs.list()),
  }
}
