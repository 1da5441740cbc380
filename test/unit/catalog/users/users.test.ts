// Users, their passwords and their sessions.

import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import {
  createPasswordHasher,
  defaultPasswordCost,
} from '../../../../src/catalog/users/password-hash.ts'
import {
  cheapPasswords,
  createStartedCatalog,
  createTestCatalog,
  createTestClock,
  ROOT_PASSWORD,
  testCatalogPath,
} from '../../../support/catalogs.ts'

const HOUR = 3_600_000

describe('password hashes', () => {
  const hasher = createPasswordHasher(cheapPasswords)

  it('tell the right password from any other', async () => {
    const stored = await hasher.hash('pässwörd ')
    expect(await hasher.verify('pässwörd ', stored)).toBe(true)
    for (const wrong of ['pässwörd', 'Pässwörd ', 'password ', '', stored]) {
      expect(await hasher.verify(wrong, stored)).toBe(false)
    }
  })

  it('differ for one password, and carry their parameters', async () => {
    const [first, second] = [await hasher.hash('same'), await hasher.hash('same')]
    expect(first).not.toBe(second)
    expect(first).toMatch(/^scrypt\$N=2,r=1,p=1\$[\w+/=]{24}\$[\w+/=]{44}$/)
  })

  it('are read with the parameters that they were made with', async () => {
    const stored = await createPasswordHasher({ N: 4, r: 2, p: 2 }).hash('old')
    expect(await hasher.verify('old', stored)).toBe(true)
  })

  it('work with the parameters of real life', async () => {
    const hasher = createPasswordHasher(defaultPasswordCost)
    const stored = await hasher.hash('x'.repeat(1024))
    expect(stored).toContain('$N=8192,r=8,p=10$')
    expect(await hasher.verify('x'.repeat(1024), stored)).toBe(true)
  })

  it('are made of 1 to 1024 bytes, and no message shows them', async () => {
    const long = 'ü'.repeat(513)
    await expect(hasher.hash('')).rejects.toMatchObject({ code: 'INVALID_VALUE' })
    await expect(hasher.hash(long)).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      params: ['password', '1026 bytes'],
      message: 'A password has 1 to 1024 bytes, not 1026',
    })
    expect(await hasher.verify(long, await hasher.hash('short'))).toBe(false)
    expect(await hasher.verify('', await hasher.hash('short'))).toBe(false)
  })

  it('compare nothing with nobody', async () => {
    expect(await hasher.verify('anything', undefined)).toBe(false)
  })

  it('are worked out a few at a time; who comes when too many wait is turned away', async () => {
    const calls = Array.from({ length: 200 }, () => hasher.verify('x', undefined))
    const outcomes = await Promise.allSettled(calls)
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(refused).toHaveLength(200 - 2 - 128)
    expect(refused[0]?.reason).toMatchObject({ code: 'TOO_BUSY' })
  })

  it('that cannot be read let nobody in', async () => {
    for (const broken of ['', 'secret', 'scrypt$N=2,r=1,p=1$AAAA$AAAA', 'scrypt$N=2$AA$AA']) {
      await expect(hasher.verify('secret', broken)).rejects.toThrow(
        'A password hash in the catalog is not readable',
      )
    }
  })
})

describe('users', () => {
  it('are known by name and password', async () => {
    const { catalog } = await createStartedCatalog()
    const { users } = catalog
    const created = await users.create({ name: 'backup', password: 'pw', role: 'vm-admin' })
    expect(await users.verify('backup', 'pw')).toEqual(created)
    expect(created.role).toBe('vm-admin')
    expect(await users.verify('backup', 'PW')).toBeUndefined()
    expect(await users.verify('Backup', 'pw')).toBeUndefined()
    expect(await users.verify('nobody', 'pw')).toBeUndefined()
    expect((await users.list()).map((user) => user.name)).toEqual(['backup', 'root'])
  })

  it('have names of their own', async () => {
    const { catalog } = await createStartedCatalog()
    const create = (name: string) =>
      catalog.users.create({ name, password: 'pw', role: 'read-only' })
    for (const name of ['root', '', 'x'.repeat(257)]) {
      await expect(create(name)).rejects.toMatchObject({ code: 'INVALID_VALUE' })
    }
  })

  it('lose their sessions with their password, or when they go', async () => {
    const { catalog } = await createStartedCatalog()
    const { users, sessions } = catalog
    const { uuid } = await users.create({ name: 'backup', password: 'old', role: 'vm-admin' })
    const first = await sessions.create({ userUuid: uuid, originator: '' })
    await users.setPassword(uuid, 'new')
    expect(await sessions.find(first.ref)).toBeUndefined()
    expect(await users.verify('backup', 'old')).toBeUndefined()
    expect(await users.verify('backup', 'new')).toBeDefined()

    const second = await sessions.create({ userUuid: uuid, originator: '' })
    await users.destroy(uuid)
    expect(await sessions.find(second.ref)).toBeUndefined()
    const gone = { code: 'HANDLE_INVALID', params: ['user', `OpaqueRef:${uuid}`] }
    await expect(users.destroy(uuid)).rejects.toMatchObject(gone)
    await expect(users.setPassword(uuid, 'pw')).rejects.toMatchObject(gone)
    await expect(sessions.create({ userUuid: uuid, originator: '' })).rejects.toMatchObject(gone)
  })
})

describe('sessions', () => {
  const start = async (path?: string) => {
    const clock = createTestClock()
    const { catalog } = await createStartedCatalog(path, clock)
    const root = (await catalog.users.getByName('root'))!
    const session = await catalog.sessions.create({ userUuid: root.uuid, originator: 'test' })
    return { catalog, clock, root, session }
  }

  it('are found by a reference that nobody can guess', async () => {
    const { catalog, root, session } = await start()
    expect(session.ref).toMatch(/^OpaqueRef:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/)
    expect(session.ref).not.toContain(session.uuid)
    expect(await catalog.sessions.find(session.ref)).toMatchObject({
      uuid: session.uuid,
      userUuid: root.uuid,
      originator: 'test',
    })
    for (const other of ['', 'OpaqueRef:NULL', session.uuid, `${session.ref} `, randomUUID()]) {
      expect(await catalog.sessions.find(other)).toBeUndefined()
    }
  })

  it('keep neither their reference nor a password in the file', async () => {
    const path = await testCatalogPath()
    const { catalog, session } = await start(path)
    await catalog.close()
    const file = await readFile(path, 'latin1')
    expect(file).toContain(session.uuid)
    expect(file).not.toContain(session.ref.slice('OpaqueRef:'.length))
    expect(file).not.toContain(ROOT_PASSWORD)
  })

  it('end with logout', async () => {
    const { catalog, session } = await start()
    await catalog.sessions.destroy(session.ref)
    expect(await catalog.sessions.find(session.ref)).toBeUndefined()
    await catalog.sessions.destroy(session.ref)
  })

  it('last as long as they are used, and 24 hours more', async () => {
    const { catalog, clock, session } = await start()
    clock.advance(23 * HOUR)
    expect(await catalog.sessions.find(session.ref)).toBeDefined()
    clock.advance(23 * HOUR)
    expect(await catalog.sessions.expire()).toBe(0)
    expect(await catalog.sessions.find(session.ref)).toBeDefined()
    clock.advance(24 * HOUR)
    expect(await catalog.sessions.find(session.ref)).toBeUndefined()
    expect(await catalog.sessions.expire()).toBe(1)
  })

  it('note their last use once a minute, not at each call', async () => {
    const path = await testCatalogPath()
    const { catalog, clock, session } = await start(path)
    const beside = new DatabaseSync(path)
    const read = () => beside.prepare('select last_active_at as time from sessions').get()?.['time']
    const created = clock.now().toISOString()
    clock.advance(59_999)
    await catalog.sessions.find(session.ref)
    expect(read()).toBe(created)
    clock.advance(1)
    await catalog.sessions.find(session.ref)
    expect(read()).toBe(clock.now().toISOString())
    beside.close()
  })

  it('are still there after a restart', async () => {
    const path = await testCatalogPath()
    const { catalog, clock, session } = await start(path)
    await catalog.close()
    const restarted = await createTestCatalog(path, clock)
    expect(await restarted.sessions.find(session.ref)).toBeDefined()
  })
})
