// Users and what they may do, and the line that each change leaves in the log.

import { describe, expect, it } from 'vitest'
import type { Wire } from '../../../../src/xenapi/wire/values.ts'
import { ROOT_PASSWORD } from '../../../support/catalogs.ts'
import { createTestApi, createVdi } from '../../../support/xenapi.ts'

const start = async () => {
  const api = await createTestApi()
  const as =
    (session: string) =>
    (method: string, ...params: Wire[]) =>
      api.dispatcher.call({ method, params: [session, ...params] })
  const create = async (name: string, role?: string) =>
    (await api.call('user.create', {
      short_name: name,
      password: `${name}-pw`,
      ...(role === undefined ? {} : { role }),
    })) as string
  return { ...api, as, create }
}

const denied = (permission: string) => ({
  code: 'RBAC_PERMISSION_DENIED',
  params: [permission, expect.any(String) as string],
})

describe('user', () => {
  it('is made with a role, logs in and is shown without the password', async () => {
    const { call, create, login } = await start()
    const ref = await create('eve', 'vm-admin')
    expect(await login('eve', 'eve-pw')).toMatch(/^OpaqueRef:/)
    const record = await call('user.get_record', ref)
    expect(record).toEqual({
      uuid: ref.slice(10),
      short_name: 'eve',
      fullname: 'eve',
      role: 'vm-admin',
      other_config: {},
    })
    expect(await call('user.get_all')).toContain(ref)
  })

  it('has the least role where none is asked for', async () => {
    const { call, create } = await start()
    expect(await call('user.get_role', await create('eve'))).toBe('read-only')
  })

  it('has another role at once, sessions included', async () => {
    const { call, create, login, as, srUuid } = await start()
    const ref = await create('eve')
    const eve = as(await login('eve', 'eve-pw'))
    const record = { SR: srUuid, virtual_size: '512' }
    await expect(eve('VDI.create', record)).rejects.toMatchObject(denied('vdi.create'))
    await call('user.set_role', ref, 'vm-admin')
    expect(await eve('VDI.create', record)).toMatch(/^OpaqueRef:/)
    await call('user.set_role', ref, 'vm-operator')
    await expect(eve('VDI.create', record)).rejects.toMatchObject(denied('vdi.create'))
  })

  it.each(['pool-operator', 'read-only'])('is not for a %s to change', async (role) => {
    const { create, login, as } = await start()
    const ref = await create('eve', role)
    const eve = as(await login('eve', 'eve-pw'))
    const calls: [string, ...Wire[]][] = [
      ['user.create', { short_name: 'x', password: 'y' }],
      ['user.destroy', ref],
      ['user.set_role', ref, 'pool-admin'],
      ['user.set_password', ref, 'mine'],
    ]
    for (const [method, ...params] of calls) {
      await expect(eve(method, ...params)).rejects.toMatchObject(denied(method))
    }
  })

  it('refuses roles that there are not, and names that are taken', async () => {
    const { call, create } = await start()
    await expect(create('eve', 'king')).rejects.toMatchObject({ code: 'INVALID_VALUE' })
    await expect(create('root')).rejects.toMatchObject({ code: 'INVALID_VALUE' })
    const unnamed = call('user.create', { password: 'x' })
    await expect(unnamed).rejects.toMatchObject({ code: 'FIELD_TYPE_ERROR' })
  })

  it('the last administrator stays one', async () => {
    const { call, create, catalog } = await start()
    const root = (await catalog.users.getByName('root'))!.uuid
    const refused = { code: 'OPERATION_NOT_ALLOWED' }
    await expect(call('user.set_role', root, 'read-only')).rejects.toMatchObject(refused)
    await expect(call('user.destroy', root)).rejects.toMatchObject(refused)
    expect(await call('user.set_role', root, 'pool-admin')).toBe('')
    const eve = await create('eve', 'pool-admin')
    await call('user.destroy', eve)
    await expect(call('user.destroy', eve)).rejects.toMatchObject({ code: 'HANDLE_INVALID' })
    await create('adam', 'pool-admin')
    expect(await call('user.destroy', root)).toBe('')
  })
})

describe('passwords', () => {
  it('session.change_password keeps the session that asked, and ends the others', async () => {
    const { create, login, as } = await start()
    await create('eve')
    const session = await login('eve', 'eve-pw')
    const other = as(await login('eve', 'eve-pw'))
    const eve = as(session)
    expect(await eve('session.change_password', 'eve-pw', 'new')).toBe('')
    expect(await eve('session.get_auth_user_name', session)).toBe('eve')
    await expect(other('VDI.get_all')).rejects.toMatchObject({ code: 'SESSION_INVALID' })
    await expect(login('eve', 'eve-pw')).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    })
    expect(await login('eve', 'new')).toMatch(/^OpaqueRef:/)
  })

  it('session.change_password wants the old one', async () => {
    const { call, login } = await start()
    await expect(call('session.change_password', 'wrong', 'new')).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
      params: [],
    })
    expect(await login()).toMatch(/^OpaqueRef:/)
  })

  it('user.set_password ends the sessions of the user', async () => {
    const { call, create, login, as } = await start()
    const ref = await create('eve')
    const eve = as(await login('eve', 'eve-pw'))
    await call('user.set_password', ref, 'new')
    await expect(eve('VDI.get_all')).rejects.toMatchObject({ code: 'SESSION_INVALID' })
    expect(await login('eve', 'new')).toMatch(/^OpaqueRef:/)
  })
})

describe('the audit', () => {
  it('has a line for each change, its failure and its refusal', async () => {
    const api = await start()
    const { call, create, login, as, audited } = api
    const vdi = await createVdi(api)
    await call('VDI.get_record', vdi)
    await call('event.from', [], '', 0)
    const task = (await call('task.create', 'a', '')) as string
    await call('task.set_progress', task, 0.5)
    await call('VDI.destroy', vdi)
    await call('VDI.destroy', vdi).catch(() => {})
    const eve = await create('eve')
    await as(await login('eve', 'eve-pw'))('user.set_role', eve, 'pool-admin').catch(() => {})
    const line = (user: string, method: string, ref: string, outcome = 'success') => ({
      audit: { user, method, object: ref.slice(10), outcome },
    })
    expect(audited).toEqual([
      line('root', 'VDI.create', vdi),
      line('root', 'task.create', task),
      line('root', 'VDI.destroy', vdi),
      line('root', 'VDI.destroy', vdi, 'HANDLE_INVALID'),
      line('root', 'user.create', eve),
      line('eve', 'user.set_role', eve, 'RBAC_PERMISSION_DENIED'),
    ])
  })

  it('tells the end of an Async call', async () => {
    const api = await start()
    const vdi = await createVdi(api)
    await api.call('Async.VDI.destroy', vdi)
    await api.dispatcher.idle()
    expect(api.audited).toMatchObject([
      { audit: { method: 'VDI.create' } },
      { audit: { method: 'VDI.destroy', object: vdi.slice(10), outcome: 'success' } },
    ])
  })

  it('shows no secret', async () => {
    const { call, create, as, audited, session, catalog } = await start()
    const secret = '11111111-2222-3333-4444-555555555555'
    const root = (await catalog.users.getByName('root'))!.uuid
    await create('eve')
    await call('user.set_password', root, secret)
    const again = await catalog.sessions.create({ userUuid: root, originator: '' })
    expect(await as(again.ref)('session.change_password', secret, ROOT_PASSWORD)).toBe('')
    expect(audited.at(-1)).toMatchObject({ audit: { method: 'session.change_password' } })
    const text = JSON.stringify(audited)
    for (const hidden of [secret, ROOT_PASSWORD, 'eve-pw', session.slice(10)]) {
      expect(text).not.toContain(hidden)
    }
  })
})
