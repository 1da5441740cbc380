// Who is asking: sessions, names and passwords, and roles.

import { describe, expect, it, vi } from 'vitest'
import type { Catalog } from '../../../src/catalog/catalog.ts'
import type { Role } from '../../../src/catalog/schema.ts'
import { createAuthenticate } from '../../../src/xenapi/authenticate.ts'
import { requireHttpPermission } from '../../../src/xenapi/roles.ts'
import { createStartedCatalog, createTestClock, ROOT_PASSWORD } from '../../support/catalogs.ts'

const start = async () => {
  const clock = createTestClock()
  const { catalog } = await createStartedCatalog(':memory:', clock)
  const verify = vi.spyOn(catalog.users, 'verify')
  const authenticate = createAuthenticate(catalog, () => clock.now().getTime())
  const root = (await catalog.users.getByName('root'))!
  const basic = { user: 'root', password: ROOT_PASSWORD }
  return { catalog, clock, verify, authenticate, root, basic }
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

  it('works out a right password once a minute, a wrong one each time', async () => {
    const { clock, verify, authenticate, basic } = await start()
    for (let count = 0; count < 5; count += 1) await authenticate({ basic })
    expect(verify).toHaveBeenCalledTimes(1)
    clock.advance(60_000)
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
