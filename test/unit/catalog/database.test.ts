// The file of the catalog: made, reopened, after a crash, of another version, or no database at
// all.

import { copyFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Transaction } from '../../../src/catalog/transaction.ts'
import { openDatabase } from '../../../src/catalog/database.ts'
import { migrations } from '../../../src/catalog/migrations/migrations.ts'
import { createSqliteDialect } from '../../../src/catalog/sqlite/dialect.ts'
import {
  addLayer,
  createStartedCatalog,
  createTestCatalog,
  createTestVdi,
  testCatalogPath,
} from '../../support/catalogs.ts'
import { createTestFolder } from '../../support/tools.ts'

/** The same file through plain node:sqlite, as another program sees it. */
const openBeside = (path: string): DatabaseSync => {
  const database = new DatabaseSync(path)
  onTestFinished(() => database.close())
  return database
}

describe('the catalog file', () => {
  it('is made with all tables, readable by its owner only, its log too', async () => {
    const path = await testCatalogPath()
    await createStartedCatalog(path)
    const tables = openBeside(path)
      .prepare(`select name from sqlite_schema where type = 'table' order by name`)
      .all()
      .map((row) => row['name'])
    expect(tables).toEqual(
      expect.arrayContaining(['hosts', 'layers', 'pools', 'sessions', 'sms', 'srs', 'tasks']),
    )
    for (const file of ['', '-wal', '-shm']) {
      expect((await stat(path + file)).mode & 0o777, `catalog.db${file}`).toBe(0o600)
    }
  })

  it('takes rights away from a file that others could read', async () => {
    const path = await testCatalogPath()
    await writeFile(path, '', { mode: 0o644 })
    await createTestCatalog(path)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('keeps what was written when it is opened again', async () => {
    const path = await testCatalogPath()
    const { catalog, srUuid } = await createStartedCatalog(path)
    const created = await catalog.vdis.create({
      srUuid,
      nameLabel: 'Größe "9" 💾',
      virtualSize: 16 * 1024 ** 4 - 512,
      format: 'vhd',
      otherConfig: { 'a:b': 'c', __proto__x: '1', snakeCase_key: '' },
      tags: ['one', 'two'],
      sharable: true,
      snapshotTime: new Date('2024-02-29T23:59:59.123Z'),
    })
    await catalog.close()
    const reopened = await createTestCatalog(path)
    expect(await reopened.vdis.get(created.uuid)).toEqual(created)
    expect(created).toMatchObject({
      nameLabel: 'Größe "9" 💾',
      virtualSize: 16 * 1024 ** 4 - 512,
      otherConfig: { 'a:b': 'c', __proto__x: '1', snakeCase_key: '' },
      tags: ['one', 'two'],
      sharable: true,
      readOnly: false,
      snapshotTime: new Date('2024-02-29T23:59:59.123Z'),
    })
  })

  it('shows every committed layer after a crash: a copy of the file and its log', async () => {
    const path = await testCatalogPath()
    const { catalog, srUuid } = await createStartedCatalog(path)
    const vdi = await createTestVdi(catalog, srUuid)
    const layers = [await addLayer(catalog, vdi.uuid), await addLayer(catalog, vdi.uuid)]

    const crashed = join(await createTestFolder(), 'catalog.db')
    await copyFile(path, crashed)
    await copyFile(`${path}-wal`, `${crashed}-wal`)
    const recovered = await createTestCatalog(crashed)
    const top = (await recovered.vdis.get(vdi.uuid))?.layerUuid
    expect(top).toBe(layers[1])
    const chain = await recovered.layers.chain(top!)
    expect(chain.map((layer) => layer.uuid)).toEqual(layers.toReversed())
  })

  it('is closed twice without harm and leaves no log behind', async () => {
    const path = await testCatalogPath()
    const { catalog } = await createStartedCatalog(path)
    await catalog.close()
    await catalog.close()
    expect(await readdir(join(path, '..'))).toEqual(['catalog.db'])
  })

  it('is refused when a newer version wrote it, and is left as it was', async () => {
    const path = await testCatalogPath()
    const { catalog } = await createStartedCatalog(path)
    await catalog.close()
    const beside = openBeside(path)
    beside.exec(`insert into schema_migrations values ('0999-later', '2030-01-01T00:00:00.000Z')`)
    await expect(createTestCatalog(path)).rejects.toMatchObject({
      code: 'INTERNAL_ERROR',
      message:
        `Cannot open the catalog ${path}: a newer version of diskport wrote it: ` +
        `it has 0999-later, this version knows nothing after ${Object.keys(migrations).at(-1)}`,
    })
    expect(beside.prepare('select count(*) as count from schema_migrations').get()).toEqual({
      count: Object.keys(migrations).length + 1,
    })
  })

  it('is refused when it is no database', async () => {
    const path = await testCatalogPath()
    await writeFile(path, 'these are notes, not a database '.repeat(100))
    await expect(createTestCatalog(path)).rejects.toThrow(
      `Cannot open the catalog ${path}: file is not a database`,
    )
  })

  it('is refused in a folder that is not there', async () => {
    const path = join(await createTestFolder(), 'missing', 'catalog.db')
    await expect(createTestCatalog(path)).rejects.toThrow(`Cannot open the catalog ${path}: ENOENT`)
  })
})

/** What 0009 and 0010 made. */
const dropVirtualMachines = `
  drop table incoming_vms;
  drop table incoming_moves;
  drop table outgoing_moves;
  drop index vdis_incoming_move_uuid;
  alter table vdis drop column incoming_move_uuid;
  drop table vbds;
  drop table vifs;
  drop table vms;
  drop table networks;`

describe('a migration', () => {
  it('0002 names the content of the VDIs that are there after their layers', async () => {
    const path = await testCatalogPath()
    const db = new Kysely<unknown>({ dialect: createSqliteDialect(new DatabaseSync(path)) })
    const first = '0001-initial'
    const { error } = await new Migrator({
      db,
      provider: { getMigrations: async () => ({ [first]: migrations[first]! }) },
      migrationTableName: 'schema_migrations',
      migrationLockTableName: 'schema_migrations_lock',
    }).migrateToLatest()
    expect(error).toBeUndefined()
    await db.destroy()
    const beside = openBeside(path)
    const sealedAt = '2025-01-02T03:04:05.678Z'
    beside.exec(`
      insert into sms values ('m', '', '', '{}', '${sealedAt}', 'file', '["qcow2"]');
      insert into srs values ('s', '', '', '{}', '${sealedAt}', 'file', 'user', 0, '', 'qcow2', '{}', '[]');
      insert into layers values ('below', 's', null, 'qcow2', 'sealed', 512, 9, '2024-01-01T00:00:00.000Z');
      insert into layers values ('top', 's', 'below', 'qcow2', 'sealed', 512, 9, '${sealedAt}');`)
    for (const [uuid, layer] of [
      ['empty', 'null'],
      ['written', `'top'`],
    ]) {
      beside.exec(`insert into vdis values ('${uuid}', '', '', '{}', '${sealedAt}', 's', 512, ${layer}, 'qcow2',
        null, 'user', 0, 0, '{}', '{}', '[]', 0, null, null)`)
    }
    const catalog = await createTestCatalog(path)
    expect(await catalog.vdis.get('written')).toMatchObject({
      layerUuid: 'top',
      contentUuid: 'top',
      contentAt: new Date(sealedAt),
      cbtEnabled: false,
    })
    expect(await catalog.vdis.get('empty')).toMatchObject({ contentUuid: null, contentAt: null })
    expect(await catalog.layers.get('top')).toMatchObject({
      hasData: true,
      destroyed: false,
      fileName: null,
      fileStamp: null,
    })
    expect(await catalog.srs.get('s')).toMatchObject({
      deviceConfig: {},
      readOnly: false,
      hasPbd: true,
      isPlugged: true,
      pbdOtherConfig: {},
    })
  })

  it('0006 takes the mark read-only off snapshots, and off nothing else', async () => {
    const path = await testCatalogPath()
    const { catalog: old, srUuid } = await createStartedCatalog(path)
    const fixed = { srUuid, virtualSize: 512, format: 'raw', readOnly: true } as const
    const make = (more: object) => old.vdis.create({ ...fixed, ...more })
    const disk = await make({})
    const snapshot = await make({ isSnapshot: true })
    await old.close()
    const beside = openBeside(path)
    beside.exec(`
      alter table srs drop column has_pbd;
      alter table srs drop column is_plugged;
      alter table srs drop column pbd_other_config;
      alter table vdis drop column on_boot;
      alter table vdis drop column allow_caching;
      drop index tasks_user_uuid_finished_at;
      create index tasks_user_uuid on tasks (user_uuid);
      ${dropVirtualMachines}
      delete from schema_migrations where name >= '0006';`)
    const catalog = await createTestCatalog(path)
    expect(await catalog.vdis.get(snapshot.uuid)).toMatchObject({ readOnly: false })
    expect(await catalog.vdis.get(disk.uuid)).toMatchObject({
      readOnly: true,
      onBoot: 'persist',
      allowCaching: false,
    })
  })

  it('0008 lets rows name any format, keeps theirs, and keeps what refers to them', async () => {
    const path = await testCatalogPath()
    const { catalog: old, srUuid } = await createStartedCatalog(path)
    const vdi = await old.vdis.create({
      srUuid,
      virtualSize: 512,
      format: 'vhd',
      requestedFormat: 'vhd',
    })
    const layer = await addLayer(old, vdi.uuid)
    await old.close()
    const beside = openBeside(path)
    // The columns as 0001 made them.
    for (const [table, column] of [
      ['srs', 'default_format'],
      ['layers', 'format'],
      ['vdis', 'format'],
      ['vdis', 'requested_format'],
    ]) {
      beside.exec(`
        alter table ${table} add column old text check (old in ('raw', 'vhd', 'qcow2'));
        update ${table} set old = ${column};
        alter table ${table} drop column ${column};
        alter table ${table} rename column old to ${column};`)
    }
    beside.exec(`
      ${dropVirtualMachines}
      delete from schema_migrations where name >= '0008'`)
    const setFormat = (format: string) => () =>
      beside.exec(`update layers set format = '${format}'`)
    expect(setFormat('toy')).toThrow('CHECK constraint failed')

    const catalog = await createTestCatalog(path)
    const formats = { format: 'vhd', requestedFormat: 'vhd', layerUuid: layer }
    expect(await catalog.vdis.get(vdi.uuid)).toMatchObject(formats)
    expect(await catalog.layers.get(layer)).toMatchObject({ format: 'qcow2' })
    expect(await catalog.srs.get(srUuid)).toMatchObject({ defaultFormat: 'qcow2' })
    expect(setFormat('toy')).not.toThrow()
    expect(() => beside.exec(`delete from layers`)).toThrow('FOREIGN KEY constraint failed')
  })

  it('that fails midway leaves no trace', async () => {
    const db = new Kysely<unknown>({
      dialect: createSqliteDialect(new DatabaseSync(':memory:')),
    })
    onTestFinished(() => db.destroy())
    const up = async (db: Kysely<unknown>): Promise<void> => {
      await db.schema.createTable('half').addColumn('uuid', 'text').execute()
      throw new Error('out of luck')
    }
    const provider = { getMigrations: async () => ({ '0001-half': { up } }) }
    const { error } = await new Migrator({ db, provider }).migrateToLatest()
    expect(error).toMatchObject({ message: 'out of luck' })
    const tables = await db.introspection.getTables()
    expect(tables.map((table) => table.name)).not.toContain('half')
  })
})

describe('transactions', () => {
  const open = async (path = ':memory:') => {
    const database = await openDatabase(path)
    onTestFinished(() => database.close())
    return database
  }

  const sm = (uuid: string) => ({
    uuid,
    type: uuid,
    nameLabel: '',
    nameDescription: '',
    otherConfig: {},
    supportedImageFormats: [],
    createdAt: new Date(0),
  })

  it('are undone as a whole when one statement fails', async () => {
    const database = await open()
    const work = database.transaction(async ({ insert }) => {
      await insert('sms', sm('a'))
      await insert('sms', sm('a'))
    })
    await expect(work).rejects.toThrow('UNIQUE constraint failed')
    expect(await database.db.selectFrom('sms').selectAll().execute()).toEqual([])
  })

  it('report the error of a statement after which SQLite had rolled back by itself', async () => {
    const database = await open()
    const work = database.transaction(async ({ insert, untold }) => {
      await insert('sms', sm('a'))
      await sql`insert or rollback into sms select * from sms`.execute(untold)
    })
    await expect(work).rejects.toThrow('UNIQUE constraint failed')
    expect(await database.db.selectFrom('sms').selectAll().execute()).toEqual([])
  })

  it('follow one another even when they wait midway', async () => {
    const database = await open()
    const steps: string[] = []
    const work = (name: string) =>
      database.transaction(async ({ db }) => {
        steps.push(`${name} begins`)
        await db.selectFrom('sms').selectAll().execute()
        await new Promise((resolve) => setImmediate(resolve))
        steps.push(`${name} ends`)
      })
    await Promise.all([work('one'), work('two')])
    expect(steps).toEqual(['one begins', 'one ends', 'two begins', 'two ends'])
  })

  it('are synced, except those that are only news, and the setting comes back', async () => {
    const database = await open(await testCatalogPath())
    const readSetting = async ({ untold }: Transaction) =>
      (await sql<{ synchronous: number }>`pragma synchronous`.execute(untold)).rows[0]?.synchronous
    const NORMAL = 1
    const FULL = 2
    expect(await database.transaction(readSetting)).toBe(FULL)
    expect(await database.transactionWithoutSync(readSetting)).toBe(NORMAL)
    expect(await database.transaction(readSetting)).toBe(FULL)
    await expect(
      database.transactionWithoutSync(() => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no')
    expect(await database.transaction(readSetting)).toBe(FULL)
  })

  it('do not take rows that point nowhere', async () => {
    const database = await open()
    const session = { uuid: 'a', refHash: 'b', userUuid: 'nobody', originator: '' }
    const insert = database.transaction(({ db }) =>
      db
        .insertInto('sessions')
        .values({ ...session, createdAt: new Date(), lastActiveAt: new Date() })
        .execute(),
    )
    await expect(insert).rejects.toThrow('FOREIGN KEY constraint failed')
  })
})
