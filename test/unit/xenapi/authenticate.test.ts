// Who is asking: sessions, names and passwords, and roles.

import { describe, expect, it, vi } from 'vitest'
import type { Catalog } from '../../../src/catalog/catalog.ts'
import type { Role } from '../../../src/catalog/schema.ts'
import { AppError } from '../../../src/errors.ts'
import { createAuthenticate } from '../../../src/xenapi/authenticate.ts'
import type { Origin } from '../../../src/xenapi/origin.ts'
import { requireHttpPermission } from '../../../src/xenapi/roles.ts'
import { createStartedCatalog, createTestClock, ROOT_PASSWORD } from '../../support/catalogs.ts'

const start = async () => {
  const clock = createTestClock()
  const { catalog } = await createStartedCatalog(':memory:', clock)
  const verify = vi.spyOn(catalog.users, 'verify')
  const logged: object[] = []
  const log = {
    warn: (fields: object, message: string) => void logged.push({ ...fields, message }),
  }
  const authenticate = createAuthenticate(catalog, { now: () => clock.now().getTime(), log })
  const root = (await catalog.users.getByName('root'))!
  const basic = { user: 'root', password: ROOT_PASSWORD }
  return { catalog, clock, verify, authenticate, root, basic, logged }
}

/** A connection of a test; what it was told. */
const createOrigin = (address = '10.0.0.1', connection = address) => {
  const told: string[] = []
  const origin: Origin = {
    address,
    network: address,
    connection,
    via: 'HTTP Basic',
    checking() {
      told.push('checking')
      return () => void told.push('checked')
    },
    known: () => void told.push('known'),
  }
  return { origin, told }
}

const createSession = async (catalog: Catalog): Promise<string> => {
  const root = (await catalog.users.getByName('root'))!
  return (await catalog.sessions.create({ userUuid: root.uuid, originator: '' })).ref
}

describe('authenticate', () => {
  it('knows a session', async () => {
    const { catalog, authenticate, root } = await start()
    const sessionId = await createSession(catalog)
    expect(await authenticate({ sessionId })).toEqual({ user: root, sessionRef: sessionId })
  })

  it('knows a name and its password', async () => {
    const { authenticate, root, basic } = await start()
    expect(await authenticate({ basic })).toEqual({ user: root })
  })

  it('refuses a session that is unknown or over, whatever password stands beside it', async () => {
    const { catalog, clock, authenticate, basic } = await start()
    const sessionId = await createSession(catalog)
    clock.advance(24 * 3_600_000)
    for (const shown of ['', 'OpaqueRef:NULL', sessionId]) {
      await expect(authenticate({ sessionId: shown, basic })).rejects.toMatchObject({
        code: 'SESSION_INVALID',
        params: [],
      })
    }
  })

  it('refuses a wrong password, an unknown name, and nothing at all', async () => {
    const { authenticate } = await start()
    const refused = { code: 'SESSION_AUTHENTICATION_FAILED', params: [] }
    for (const basic of [
      { user: 'root', password: 'wrong' },
      { user: 'root', password: '' },
      { user: 'nobody', password: ROOT_PASSWORD },
    ]) {
      await expect(authenticate({ basic })).rejects.toMatchObject(refused)
    }
    await expect(authenticate({})).rejects.toMatchObject(refused)
  })

  it('works out a right password once while it is in use, a wrong one each time', async () => {
    const { clock, verify, authenticate, basic } = await start()
    for (let count = 0; count < 5; count += 1) {
      await authenticate({ basic })
      clock.advance(5 * 60_000 - 1)
    }
    expect(verify).toHaveBeenCalledTimes(1)
    clock.advance(1)
    await authenticate({ basic })
    expect(verify).toHaveBeenCalledTimes(2)
    const wrong = { user: 'root', password: 'wrong' }
    await expect(authenticate({ basic: wrong })).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    })
    await expect(authenticate({ basic: wrong })).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    })
    expect(verify).toHaveBeenCalledTimes(4)
  })

  it('forgets a remembered password when it is changed or its user goes', async () => {
    const { catalog, authenticate, root, basic } = await start()
    await authenticate({ basic })
    await catalog.users.setPassword(root.uuid, 'new')
    await expect(authenticate({ basic })).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    })
    await authenticate({ basic: { user: 'root', password: 'new' } })
    await catalog.users.create({ name: 'heir', password: 'x', role: 'pool-admin' })
    await catalog.users.destroy(root.uuid)
    await expect(authenticate({ basic: { user: 'root', password: 'new' } })).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    })
  })

  it('does not take one pair of name and password for another', async () => {
    const { catalog, authenticate } = await start()
    await catalog.users.create({ name: 'ab', password: 'cd', role: 'read-only' })
    await catalog.users.create({ name: 'a', password: 'x', role: 'pool-admin' })
    await authenticate({ basic: { user: 'ab', password: 'cd' } })
    await expect(authenticate({ basic: { user: 'a', password: 'bcd' } })).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    })
  })
})

describe('who is known', () => {
  it('has shown a session, or a password that was checked', async () => {
    const { catalog, authenticate, basic } = await start()
    const [session, password, wrong, nothing] = Array.from({ length: 4 }, () => createOrigin())
    await authenticate({ sessionId: await createSession(catalog) }, session!.origin)
    expect(session!.told).toEqual(['known'])
    await authenticate({ basic }, password!.origin)
    expect(password!.told).toEqual(['checking', 'checked', 'known'])
    const refused = { code: 'SESSION_AUTHENTICATION_FAILED' }
    const guess = { user: 'root', password: 'guess' }
    await expect(authenticate({ basic: guess }, wrong!.origin)).rejects.toMatchObject(refused)
    expect(wrong!.told).toEqual(['checking', 'checked'])
    await expect(authenticate({}, nothing!.origin)).rejects.toMatchObject(refused)
    expect(nothing!.told).toEqual([])
  })

  it('does not wait for the passwords of others', async () => {
    const { catalog, authenticate, verify, basic } = await start()
    await authenticate({ basic })
    const sessionId = await createSession(catalog)
    const never = Promise.withResolvers<undefined>()
    verify.mockReturnValue(never.promise)
    const guesses = Array.from({ length: 100 }, (_, index) =>
      authenticate({ basic: { user: 'root', password: `guess ${index}` } }),
    )
    expect(await authenticate({ basic })).toMatchObject({ user: { name: 'root' } })
    expect(await authenticate({ sessionId })).toMatchObject({ sessionRef: sessionId })
    never.resolve(undefined)
    const outcomes = await Promise.allSettled(guesses)
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
  })

  it('has one password worked out where many clients of an address show it at once', async () => {
    const { authenticate, verify, basic } = await start()
    const ask = (address: string, connection: string) =>
      authenticate({ basic }, createOrigin(address, connection).origin)
    await Promise.all(Array.from({ length: 50 }, (_, index) => ask('10.0.0.1', String(index))))
    expect(verify).toHaveBeenCalledTimes(1)
  })
})

describe('a login that fails', () => {
  it('leaves a line with the name, the address and the way, and no password', async () => {
    const { authenticate, logged } = await start()
    const secret = 'not so secret'
    for (const user of ['root', 'nobody\n\u001b[2J\u202e', 'x'.repeat(200)]) {
      const attempt = authenticate({ basic: { user, password: secret } }, createOrigin().origin)
      await expect(attempt).rejects.toMatchObject({ code: 'SESSION_AUTHENTICATION_FAILED' })
    }
    const line = (user: string) => ({
      login: { user, address: '10.0.0.1', via: 'HTTP Basic', attempts: 1 },
      message: 'a login failed',
    })
    expect(logged).toEqual([
      line('root'),
      line(String.raw`nobody\u{a}\u{1b}[2J\u{202e}`),
      line(`${'x'.repeat(128)}…`),
    ])
    expect(JSON.stringify(logged)).not.toContain(secret)
  })

  it('leaves one line where thousands show the same at once, with how many they were', async () => {
    const { authenticate, verify, logged } = await start()
    const basic = { user: 'root', password: 'guess' }
    const flood = async (count: number): Promise<void> => {
      const attempts = Array.from({ length: count }, () =>
        authenticate({ basic }, createOrigin().origin),
      )
      const outcomes = await Promise.allSettled(attempts)
      expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
    }
    await flood(2000)
    await flood(3)
    expect(verify).toHaveBeenCalledTimes(2)
    expect(logged).toMatchObject([{ login: { attempts: 2000 } }, { login: { attempts: 3 } }])
  })

  it('for want of room leaves one a minute, with how many there were', async () => {
    const { authenticate, clock, verify, logged } = await start()
    verify.mockRejectedValue(new AppError('TOO_BUSY', []))
    const { origin } = createOrigin()
    const ask = async (): Promise<void> => {
      const basic = { user: 'root', password: 'guess' }
      await expect(authenticate({ basic }, origin)).rejects.toMatchObject({ code: 'TOO_BUSY' })
    }
    for (let count = 0; count < 10; count += 1) await ask()
    clock.advance(60_000)
    await ask()
    const message = 'logins were refused: too many wait'
    const login = { address: '10.0.0.1', via: 'HTTP Basic' }
    expect(logged).toEqual([
      { login: { ...login, refusals: 1 }, message },
      { login: { ...login, refusals: 10 }, message },
    ])
  })
})

describe('roles', () => {
  it('let vm-admin and up import and export', async () => {
    const { root } = await start()
    const roles: Role[] = ['pool-admin', 'pool-operator', 'vm-power-admin', 'vm-admin']
    for (const role of roles) {
      requireHttpPermission({ user: { ...root, role } }, 'http/get_export_raw_vdi', {
        info: () => {},
      })
    }
    for (const role of ['vm-operator', 'read-only'] as const) {
      expect(() =>
        requireHttpPermission({ user: { ...root, role } }, 'http/put_import_raw_vdi', {
          info: () => {},
        }),
      ).toThrow(
        expect.objectContaining({
          code: 'RBAC_PERMISSION_DENIED',
          params: [
            'http/put_import_raw_vdi',
            `the role ${role} does not have it, these do: ` +
              'pool-admin, pool-operator, vm-power-admin, vm-admin',
          ],
        }) as Error,
      )
    }
  })
})
