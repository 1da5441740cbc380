// Transactions tell of what they have changed: after the commit, and only then.

import { describe, expect, onTestFinished, test } from 'vitest'
import type { Change } from '../../../src/catalog/changes.ts'
import { openDatabase } from '../../../src/catalog/database.ts'
import type { NewVdi } from '../../../src/catalog/vdis.ts'
import { insertVdi } from '../../../src/catalog/vdis.ts'
import { MiB } from '../../../src/units.ts'

const now = (): Date => new Date(0)

const named = (uuid: string) => ({
  uuid,
  nameLabel: '',
  nameDescription: '',
  otherConfig: {},
  createdAt: now(),
})

/** A database with the storage repositories `one` and `two`; the changes since then. */
const start = async () => {
  const database = await openDatabase(':memory:')
  onTestFinished(() => database.close())
  const sr = (uuid: string) => ({
    ...named(uuid),
    type: 'file',
    contentType: 'user',
    shared: false,
    path: '',
    defaultFormat: 'qcow2' as const,
    smConfig: {},
    deviceConfig: {},
    readOnly: false,
    hasPbd: true,
    isPlugged: true,
    pbdOtherConfig: {},
    tags: [],
  })
  await database.transaction(async ({ insert }) => {
    await insert('sms', { ...named('sm'), type: 'file', supportedImageFormats: [] })
    await insert('srs', sr('one'))
    await insert('srs', sr('two'))
  })
  const told: string[] = []
  database.changes.subscribe(({ className, uuid, operation }: Change) =>
    told.push(`${operation} ${className} ${uuid}`),
  )
  const addVdi = (uuid: string, vdi: Partial<NewVdi> = {}) =>
    database.transaction((transaction) =>
      insertVdi(
        transaction,
        { uuid, srUuid: 'one', virtualSize: MiB, format: 'qcow2', ...vdi },
        now,
      ),
    )
  /** What was told since the last call. */
  const news = () => told.splice(0)
  return { database, addVdi, told, news }
}

describe('a transaction', () => {
  test('tells when it has been committed', async () => {
    const { database, told } = await start()
    await database.transaction(async ({ update }) => {
      expect(await update('srs', 'one', { nameLabel: 'new' })).toBe(true)
      expect(told).toEqual([])
    })
    expect(told).toEqual(['mod SR one'])
  })

  test('tells nothing when it fails, nor of what is not there', async () => {
    const { database, told } = await start()
    const work = database.transaction(async ({ update }) => {
      await update('srs', 'one', { nameLabel: 'new' })
      throw new Error('no')
    })
    await expect(work).rejects.toThrow('no')
    await database.transaction(async ({ update, remove }) => {
      expect(await update('srs', 'three', { nameLabel: 'new' })).toBe(false)
      expect(await remove('vdis', ['a', 'b'])).toBe(0)
      expect(await remove('vdis', [])).toBe(0)
    })
    expect(told).toEqual([])
  })

  test('without sync tells too', async () => {
    const { database, told } = await start()
    await database.transactionWithoutSync(async ({ update }) => {
      await update('srs', 'one', { nameLabel: 'new' })
    })
    expect(told).toEqual(['mod SR one'])
  })

  test('tells nothing of what it writes untold', async () => {
    const { database, told } = await start()
    await database.transaction(async ({ untold }) => {
      await untold.updateTable('srs').set({ nameLabel: 'new' }).execute()
    })
    expect(told).toEqual([])
  })
})

describe('a VDI', () => {
  test('that is made, or goes, changes its SR and what it is a snapshot of', async () => {
    const { database, addVdi, news } = await start()
    await addVdi('a')
    expect(news()).toEqual(['add VDI a', 'mod SR one'])
    await addVdi('b', { isSnapshot: true, snapshotOfUuid: 'a' })
    expect(news()).toEqual(['add VDI b', 'mod SR one', 'mod VDI a'])
    await database.transaction(({ remove }) => remove('vdis', ['b']))
    expect(news()).toEqual(['del VDI b', 'mod SR one', 'mod VDI a'])
  })

  test('that goes changes its snapshots', async () => {
    const { database, addVdi, news } = await start()
    await addVdi('a')
    await addVdi('b', { isSnapshot: true, snapshotOfUuid: 'a' })
    news()
    await database.transaction(({ remove }) => remove('vdis', ['a']))
    expect(news()).toEqual(['del VDI a', 'mod SR one', 'mod VDI b'])
    expect((await database.db.selectFrom('vdis').selectAll().execute())[0]?.snapshotOfUuid).toBe(
      null,
    )
  })

  test('changes its SR by its size and its place, not by its name', async () => {
    const { database, addVdi, news } = await start()
    await addVdi('a')
    news()
    await database.transaction(({ update }) => update('vdis', 'a', { nameLabel: 'new' }))
    expect(news()).toEqual(['mod VDI a'])
    await database.transaction(({ update }) => update('vdis', 'a', { virtualSize: 2 * MiB }))
    expect(news()).toEqual(['mod VDI a', 'mod SR one'])
    await database.transaction(({ update }) => update('vdis', 'a', { srUuid: 'two' }))
    expect(news()).toEqual(['mod VDI a', 'mod SR one', 'mod SR two'])
  })
})

test('an SR that goes changes the pool whose default it was', async () => {
  const { database, news } = await start()
  await database.transaction(async ({ insert }) => {
    await insert('hosts', { ...named('host'), hostname: '', address: '', tags: [] })
    await insert('pools', {
      ...named('pool'),
      masterUuid: 'host',
      defaultSrUuid: 'one',
      tags: [],
    })
  })
  expect(news()).toEqual(['add host host', 'add pool pool'])
  await database.transaction(({ remove }) => remove('srs', ['one']))
  expect(news()).toEqual(['del SR one', 'mod pool pool'])
})
