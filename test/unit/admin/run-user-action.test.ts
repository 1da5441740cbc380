import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PassThrough, Readable, Writable } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runUserAction } from '../../../src/admin/run-user-action.ts'
import type { UserAction } from '../../../src/admin/user-command.ts'
import { createCatalog } from '../../../src/catalog/catalog.ts'
import { cheapPasswords } from '../../support/catalogs.ts'
import { createTestFolder } from '../../support/tools.ts'

const passwordCost = cheapPasswords

/** A catalog that a server keeps open, with the administrator root. */
const openFolder = async () => {
  const data = await createTestFolder()
  const catalog = await createCatalog(join(data, 'catalog.db'), { passwordCost })
  onTestFinished(() => catalog.close())
  const { uuid } = await catalog.users.create({ name: 'root', password: 'pw', role: 'pool-admin' })
  return { data, catalog, rootUuid: uuid }
}

/** Standard input is no terminal; what is printed on standard output. */
const run = async (data: string, action: Partial<UserAction>, input = ''): Promise<string> => {
  let printed = ''
  const output = new Writable({
    write(chunk, _encoding, done) {
      printed += String(chunk)
      done()
    },
  })
  const io = { input: Readable.from([Buffer.from(input)]), output, errors: new PassThrough() }
  const whole = { name: 'list', user: '', role: 'vm-admin', ...action } as const
  await runUserAction(data, whole, io, { passwordCost })
  return printed
}

describe('diskport user, beside a catalog that is open', () => {
  test('add: the user may log in, list shows the role', async () => {
    const { data, catalog } = await openFolder()
    const said = await run(data, { name: 'add', user: 'ada' }, 's e cret\r\nand more\n')
    expect(said).toBe('ada may log in now, with the role vm-admin\n')
    expect(await catalog.users.verify('ada', 's e cret')).toMatchObject({ role: 'vm-admin' })
    const line = /^vm-admin {8}20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ {2}ada\npool-admin .* root\n$/
    expect(await run(data, { name: 'list' })).toMatch(line)
  })

  test('passwd ends the sessions', async () => {
    const { data, catalog, rootUuid } = await openFolder()
    const { ref } = await catalog.sessions.create({ userUuid: rootUuid, originator: '' })
    await run(data, { name: 'passwd', user: 'root' }, 'new')
    expect(await catalog.sessions.find(ref)).toBeUndefined()
    expect(await catalog.users.verify('root', 'pw')).toBeUndefined()
    expect(await catalog.users.verify('root', 'new')).toBeDefined()
  })

  test('set-role and remove, but never the last administrator', async () => {
    const { data, catalog } = await openFolder()
    await run(data, { name: 'add', user: 'ada' }, 'pw')
    const last = { code: 'OPERATION_NOT_ALLOWED' }
    await expect(run(data, { name: 'remove', user: 'root' })).rejects.toMatchObject(last)
    await expect(
      run(data, { name: 'set-role', user: 'root', role: 'read-only' }),
    ).rejects.toMatchObject(last)
    await run(data, { name: 'set-role', user: 'ada', role: 'pool-admin' })
    await run(data, { name: 'remove', user: 'root' })
    expect((await catalog.users.list()).map(({ name, role }) => [name, role])).toEqual([
      ['ada', 'pool-admin'],
    ])
  })

  test('a name that a terminal would obey is quoted', async () => {
    const { data, catalog } = await openFolder()
    await catalog.users.create({ name: 'e\u001b[2Jvil', password: 'pw', role: 'read-only' })
    expect(await run(data, { name: 'list' })).toContain('"e\\u001b[2Jvil"\n')
  })

  test.each([
    [{ name: 'add', user: 'root' } as const, 'There is a user root already'],
    [{ name: 'passwd', user: 'eve' } as const, 'There is no user eve; there are root'],
    [{ name: 'remove', user: 'eve' } as const, 'There is no user eve; there are root'],
    [{ name: 'add', user: 'eve' } as const, 'The password stays: no password came'],
  ])('%j: %s', async (action, message) => {
    const { data } = await openFolder()
    await expect(run(data, action)).rejects.toThrow(message)
  })
})

test('a folder that no server has used is told and left alone', async () => {
  const folder = await createTestFolder()
  await mkdir(join(folder, 'data'))
  const message = `There is no catalog in ${join(folder, 'data')}`
  await expect(run(join(folder, 'data'), { name: 'list' })).rejects.toThrow(message)
  expect(await readdir(join(folder, 'data'))).toEqual([])
})

test('tables of an older version are told and left alone', async () => {
  const { data, catalog } = await openFolder()
  await catalog.close()
  const database = new DatabaseSync(join(data, 'catalog.db'))
  database.exec('delete from schema_migrations')
  database.close()
  const message = /an older version of diskport wrote it: it lacks 0001-initial.*when it starts/
  await expect(run(data, { name: 'list' })).rejects.toThrow(message)
})
