// VDIs: a name, a size and the layer that holds the content. Their content moves only through
// layers.commit.

import { randomUUID } from 'node:crypto'
import type { Database, Queries } from './database.ts'
import { handleInvalid } from './refs.ts'
import type { FormatName, VdiTable } from './schema.ts'

export interface VdiRow extends Readonly<VdiTable> {
  /** Bytes of the top layer's file, 0 without one. */
  readonly physicalUtilisation: number
}

/** What a client may change of a VDI. */
export type VdiChanges = Partial<
  Pick<
    VdiRow,
    | 'nameLabel'
    | 'nameDescription'
    | 'otherConfig'
    | 'sharable'
    | 'readOnly'
    | 'smConfig'
    | 'xenstoreData'
    | 'tags'
  >
>

/** All but these has a default: an empty text or map, `user`, false, null, now. */
export interface NewVdi extends Partial<Omit<VdiTable, 'srUuid' | 'virtualSize' | 'format'>> {
  readonly srUuid: string
  /** In bytes. */
  readonly virtualSize: number
  /** At rest. */
  readonly format: FormatName
}

export interface Vdis {
  /** @throws AppError HANDLE_INVALID for an unknown SR, or a layer that is not there to stay */
  create(vdi: NewVdi): Promise<VdiRow>

  get(uuid: string): Promise<VdiRow | undefined>

  /** In the order they were made. */
  list(): Promise<VdiRow[]>

  /** The VDIs whose `snapshotOfUuid` is this one, in the order they were made. */
  snapshotsOf(uuid: string): Promise<VdiRow[]>

  /**
   * Reads the row, asks for the changes and writes them, with nothing in between.
   * @throws AppError HANDLE_INVALID if the VDI has gone; what `change` throws
   */
  update(uuid: string, change: (vdi: VdiRow) => VdiChanges): Promise<void>

  /** Its layers stay until they are claimed. @throws AppError HANDLE_INVALID if it has gone */
  destroy(uuid: string): Promise<void>
}

export const createVdis = (database: Database, now: () => Date): Vdis => ({
  create: (vdi) => database.transaction((db) => insertVdi(db, vdi, now)),
  get: (uuid) => selectVdis(database.db).where('vdis.uuid', '=', uuid).executeTakeFirst(),
  list: () => selectVdis(database.db).orderBy('vdis.createdAt').orderBy('vdis.uuid').execute(),
  snapshotsOf: (uuid) =>
    selectVdis(database.db)
      .where('vdis.snapshotOfUuid', '=', uuid)
      .orderBy('vdis.createdAt')
      .orderBy('vdis.uuid')
      .execute(),
  update: (uuid, change) =>
    database.transaction(async (db) => {
      const changes = change(await requireVdi(db, uuid))
      if (Object.keys(changes).length === 0) return
      await db.updateTable('vdis').set(changes).where('uuid', '=', uuid).execute()
    }),
  async destroy(uuid) {
    const { numDeletedRows } = await database.db
      .deleteFrom('vdis')
      .where('uuid', '=', uuid)
      .executeTakeFirst()
    if (numDeletedRows === 0n) throw handleInvalid('VDI', uuid)
  },
})

/** As Vdis.create, inside a transaction of another. */
export const insertVdi = async (db: Queries, vdi: NewVdi, now: () => Date): Promise<VdiRow> => {
  await requireStorage(db, vdi)
  const uuid = vdi.uuid ?? randomUUID()
  await db
    .insertInto('vdis')
    .values({ ...defaults, createdAt: now(), ...vdi, uuid })
    .execute()
  return requireVdi(db, uuid)
}

const defaults = {
  nameLabel: '',
  nameDescription: '',
  otherConfig: {},
  layerUuid: null,
  contentUuid: null,
  contentAt: null,
  cbtEnabled: false,
  requestedFormat: null,
  type: 'user',
  sharable: false,
  readOnly: false,
  smConfig: {},
  xenstoreData: {},
  tags: [],
  isSnapshot: false,
  snapshotOfUuid: null,
  snapshotTime: null,
  missing: false,
}

const selectVdis = (db: Queries) =>
  db
    .selectFrom('vdis')
    .leftJoin('layers', 'layers.uuid', 'vdis.layerUuid')
    .selectAll('vdis')
    .select((eb) => eb.fn.coalesce('layers.fileSize', eb.lit(0)).as('physicalUtilisation'))

const requireVdi = async (db: Queries, uuid: string): Promise<VdiRow> => {
  const vdi = await selectVdis(db).where('vdis.uuid', '=', uuid).executeTakeFirst()
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
  return vdi
}

const requireStorage = async (db: Queries, { srUuid, layerUuid }: NewVdi): Promise<void> => {
  const sr = await db.selectFrom('srs').select('uuid').where('uuid', '=', srUuid).executeTakeFirst()
  if (sr === undefined) throw handleInvalid('SR', srUuid)
  if (layerUuid === undefined || layerUuid === null) return
  const layer = await db
    .selectFrom('layers')
    .select(['state', 'srUuid'])
    .where('uuid', '=', layerUuid)
    .executeTakeFirst()
  if (layer?.state !== 'sealed' || layer.srUuid !== srUuid) throw handleInvalid('layer', layerUuid)
}
