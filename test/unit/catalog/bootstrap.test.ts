// The first start and the ones after it.

import { describe, expect, it } from 'vitest'
import { bootstrap } from '../../../src/catalog/bootstrap.ts'
import { createTestCatalog } from '../../support/catalogs.ts'

describe('bootstrap', () => {
  it('makes a pool, its host, a storage repository with its manager, and root', async () => {
    const catalog = await createTestCatalog()
    const started = await bootstrap(catalog, { hostname: 'alpha', address: '192.0.2.1' })
    const { poolUuid, hostUuid, srUuid } = started
    expect(await catalog.pools.list()).toMatchObject([
      { uuid: poolUuid, masterUuid: hostUuid, defaultSrUuid: srUuid },
    ])
    expect(await catalog.hosts.list()).toMatchObject([
      { uuid: hostUuid, nameLabel: 'alpha', hostname: 'alpha', address: '192.0.2.1' },
    ])
    expect(await catalog.sms.list()).toMatchObject([
      { type: 'file', supportedImageFormats: ['qcow2', 'vhd', 'raw'] },
    ])
    expect(await catalog.srs.list()).toMatchObject([
      { uuid: srUuid, nameLabel: 'Local storage', type: 'file', defaultFormat: 'qcow2' },
    ])
    expect(started.generatedPassword).toMatch(/^[\w-]{24}$/)
    const root = await catalog.users.verify('root', started.generatedPassword!)
    expect(root).toMatchObject({ name: 'root', role: 'pool-admin' })
  })

  it('changes nothing the second time, and tells no password', async () => {
    const catalog = await createTestCatalog()
    const { generatedPassword, ...first } = await bootstrap(catalog, { hostname: 'alpha' })
    await catalog.hosts.update(first.hostUuid, () => ({ nameLabel: 'my name' }))
    expect(await bootstrap(catalog, { hostname: 'beta' })).toEqual(first)
    expect(await catalog.hosts.list()).toMatchObject([{ nameLabel: 'my name', hostname: 'beta' }])
    expect(await catalog.sms.list()).toHaveLength(1)
    expect(await catalog.users.verify('root', generatedPassword!)).toBeDefined()
  })

  it('goes on where an earlier start was cut off', async () => {
    const catalog = await createTestCatalog()
    const fixed = { nameLabel: '', supportedImageFormats: ['raw'] as const }
    await catalog.sms.create({ ...fixed, type: 'file' })
    const host = await catalog.hosts.create({ hostname: 'alpha', address: '', tags: [] })
    const started = await bootstrap(catalog, { hostname: 'alpha', rootPassword: 'pw' })
    expect(started.hostUuid).toBe(host.uuid)
    expect(await catalog.sms.list()).toHaveLength(1)
    expect(await catalog.pools.list()).toHaveLength(1)
  })

  it('gives root the password that it is told, now or at a later start', async () => {
    const catalog = await createTestCatalog()
    const first = await bootstrap(catalog, { hostname: 'alpha', rootPassword: 'one' })
    expect(first).not.toHaveProperty('generatedPassword')
    const root = await catalog.users.verify('root', 'one')
    const { ref } = await catalog.sessions.create({ userUuid: root!.uuid, originator: '' })

    await bootstrap(catalog, { hostname: 'alpha', rootPassword: 'one' })
    expect(await catalog.sessions.find(ref), 'an unchanged password ends no session').toBeDefined()

    await bootstrap(catalog, { hostname: 'alpha', rootPassword: 'two' })
    expect(await catalog.users.verify('root', 'one')).toBeUndefined()
    expect(await catalog.users.verify('root', 'two')).toBeDefined()
    expect(await catalog.sessions.find(ref)).toBeUndefined()
  })
})
