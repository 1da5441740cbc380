// Making calls: who may, with what, under which name, at once or behind a task.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { createDispatcher } from '../../../src/xenapi/dispatch.ts'
import { defineMethod } from '../../../src/xenapi/method.ts'
import { voidType, wire } from '../../../src/xenapi/wire/values.ts'
import type { Wire } from '../../../src/xenapi/wire/values.ts'
import { ROOT_PASSWORD } from '../../support/catalogs.ts'
import { createTestApi } from '../../support/xenapi.ts'
import { WireInt } from '../../../src/xenapi/wire/values.ts'

describe('a call', () => {
  it('needs a method that there is', async () => {
    const { call, dispatcher } = await createTestApi()
    for (const method of ['VDI.explode', '', 'constructor', 'vdi.create', 'Async.', 'Async.x.y']) {
      await expect(call(method)).rejects.toMatchObject({
        code: 'MESSAGE_METHOD_UNKNOWN',
        params: [method],
      })
    }
    const long = dispatcher.call({ method: 'x'.repeat(10_000), params: [] })
    await expect(long).rejects.toMatchObject({ params: ['x'.repeat(128)] })
  })

  it('needs a session that is good, before anything else is looked at', async () => {
    const { dispatcher, session } = await createTestApi()
    for (const shown of ['OpaqueRef:NULL', '', session.slice(10), null, 5, [session]]) {
      await expect(
        dispatcher.call({ method: 'VDI.get_record', params: [shown] }),
      ).rejects.toMatchObject({ code: 'SESSION_INVALID', params: [] })
    }
  })

  it('needs as many parameters as the method takes, the session not counted', async () => {
    const { call, dispatcher } = await createTestApi()
    const mismatch = (...params: string[]) => ({
      code: 'MESSAGE_PARAMETER_COUNT_MISMATCH',
      params,
    })
    await expect(call('VDI.get_record')).rejects.toMatchObject(mismatch('VDI.get_record', '1', '0'))
    await expect(call('pool.get_all_records', 'x')).rejects.toMatchObject(
      mismatch('pool.get_all_records', '0', '1'),
    )
    await expect(call('task.create', 'a')).rejects.toMatchObject({
      message: 'task.create takes the session and then (label, description), 1 came after it',
    })
    await expect(
      dispatcher.call({ method: 'pool.get_all_records', params: [] }),
    ).rejects.toMatchObject({
      ...mismatch('pool.get_all_records', '0', '-1'),
      message: 'pool.get_all_records takes the session and then (), nothing was given',
    })
    const login = (...params: string[]) =>
      dispatcher.call({ method: 'session.login_with_password', params })
    await expect(login('root')).rejects.toMatchObject(
      mismatch('session.login_with_password', '2', '1'),
    )
    await expect(login('root', 'pw', '', '', '')).rejects.toMatchObject(
      mismatch('session.login_with_password', '2', '5'),
    )
  })

  it('needs the role', async () => {
    const { dispatcher, loginAs, srUuid } = await createTestApi()
    const operator = await loginAs('vm-operator')
    const record = { SR: srUuid, virtual_size: 512 }
    await expect(
      dispatcher.call({ method: 'VDI.create', params: [operator, record] }),
    ).rejects.toMatchObject({
      code: 'RBAC_PERMISSION_DENIED',
      params: ['vdi.create', expect.stringContaining('vm-operator') as string],
    })
    const admin = await loginAs('vm-admin')
    const vdi = await dispatcher.call({ method: 'VDI.create', params: [admin, record] })
    const reader = await loginAs('read-only')
    const read = { method: 'VDI.get_virtual_size', params: [reader, vdi] }
    expect(await dispatcher.call(read)).toEqual(new WireInt(512))
    const write = { method: 'VDI.set_name_label', params: [reader, vdi, 'mine'] }
    await expect(dispatcher.call(write)).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
  })

  it('may be written with an underscore', async () => {
    const { call } = await createTestApi()
    const ref = await call('task_create', 'export', '')
    expect(await call('task_get_name_label', ref)).toBe('export')
    expect(await call('SR_get_by_name_label', 'Local storage')).toHaveLength(1)
  })

  it.each([new TypeError('x is undefined'), new AppError('INTERNAL_ERROR', ['x is undefined'])])(
    'that breaks for our own fault is INTERNAL_ERROR, and logged: %s',
    async (thrown) => {
      const { context, session, logged } = await createTestApi()
      const run = (): Promise<void> => Promise.reject(thrown)
      const broken = { name: 'test.break', role: 'read-only', parameters: {}, run } as const
      const dispatcher = createDispatcher(context, [defineMethod({ ...broken, result: voidType })])
      await expect(
        dispatcher.call({ method: 'test.break', params: [session] }),
      ).rejects.toMatchObject({ code: 'INTERNAL_ERROR', params: ['x is undefined'] })
      expect(logged).toMatchObject([{ method: 'test.break', message: 'A call failed' }])
    },
  )

  it('that breaks for the fault of the caller is not logged', async () => {
    const { call, logged } = await createTestApi()
    await expect(call('VDI.get_record', randomUUID())).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    })
    expect(logged).toEqual([])
  })
})

describe('login and logout', () => {
  it('take two to four parameters', async () => {
    const { dispatcher, catalog } = await createTestApi()
    for (const more of [[], ['1.20'], ['1.20', 'backup tool']]) {
      const params = ['root', ROOT_PASSWORD, ...more]
      const ref = await dispatcher.call({ method: 'session.login_with_password', params })
      expect(await catalog.sessions.find(ref as string)).toMatchObject({
        originator: more[1] ?? '',
      })
    }
  })

  it('end what they began', async () => {
    const { call, dispatcher, session } = await createTestApi()
    expect(await call('session.logout')).toBe('')
    await expect(call('pool.get_all')).rejects.toMatchObject({ code: 'SESSION_INVALID' })
    await expect(
      dispatcher.call({ method: 'session.logout', params: [session] }),
    ).rejects.toMatchObject({ code: 'SESSION_INVALID' })
  })

  it('refuse a wrong password and an unknown name alike', async () => {
    const { login } = await createTestApi()
    const errors = await Promise.all(
      [login('root', 'wrong'), login('nobody', 'wrong')].map((attempt) =>
        attempt.then(
          () => 'let in',
          (error: unknown) => JSON.stringify(error),
        ),
      ),
    )
    expect(errors[0]).toContain('SESSION_AUTHENTICATION_FAILED')
    expect(errors[1]).toBe(errors[0])
  })
})

describe('Async', () => {
  it('answers with a task that ends with the result', async () => {
    const { call, dispatcher, srUuid, catalog } = await createTestApi()
    const ref = (await call('Async.VDI.create', { SR: srUuid, virtual_size: 512 })) as string
    await dispatcher.idle()
    const task = await catalog.tasks.get(ref)
    const [vdi] = await catalog.vdis.list()
    expect(task).toMatchObject({
      nameLabel: 'Async.VDI.create',
      status: 'success',
      progress: 1,
      result: `<value>OpaqueRef:${vdi?.uuid}</value>`,
    })
    const gone = (await call('Async.VDI.destroy', vdi!.uuid)) as string
    await dispatcher.idle()
    expect(await catalog.tasks.get(gone)).toMatchObject({ status: 'success', result: '' })
  })

  it('answers with a task that fails with the error of the call', async () => {
    const { call, dispatcher, catalog, logged } = await createTestApi()
    const uuid = randomUUID()
    const ref = (await call('Async.VDI.destroy', uuid)) as string
    await dispatcher.idle()
    expect(await catalog.tasks.get(ref)).toMatchObject({
      status: 'failure',
      errorInfo: ['HANDLE_INVALID', 'VDI', `OpaqueRef:${uuid}`],
    })
    expect(logged).toEqual([])
  })

  it('refuses at once what is wrong with the call itself', async () => {
    const { call, dispatcher, loginAs, catalog } = await createTestApi()
    await expect(call('Async.VDI.destroy', 5)).rejects.toMatchObject({ code: 'FIELD_TYPE_ERROR' })
    await expect(call('Async.VDI.destroy')).rejects.toMatchObject({
      code: 'MESSAGE_PARAMETER_COUNT_MISMATCH',
    })
    for (const method of ['Async.VDI.get_record', 'Async.session.login_with_password']) {
      await expect(call(method, 'x')).rejects.toMatchObject({ code: 'MESSAGE_METHOD_UNKNOWN' })
    }
    const reader = await loginAs('read-only')
    await expect(
      dispatcher.call({ method: 'Async.VDI.destroy', params: [reader, randomUUID()] }),
    ).rejects.toMatchObject({ code: 'RBAC_PERMISSION_DENIED' })
    expect(await catalog.tasks.list()).toEqual([])
  })

  it('answers with a task that is cancelled where the call was told to stop', async () => {
    const { context, session, catalog, logged } = await createTestApi()
    const stopped = defineMethod({
      name: 'test.stop',
      role: 'read-only',
      isAsync: true,
      parameters: {},
      result: voidType,
      run: () => Promise.reject(new AppError('TASK_CANCELLED', [])),
    })
    const dispatcher = createDispatcher(context, [stopped])
    const ref = await dispatcher.call({ method: 'Async.test.stop', params: [session] })
    await dispatcher.idle()
    expect(await catalog.tasks.get(ref as string)).toMatchObject({ status: 'cancelled' })
    expect(logged).toEqual([])
  })

  it('does not wait for the call, and idle does', async () => {
    const { context, session, catalog } = await createTestApi()
    const { promise, resolve } = Promise.withResolvers<Wire>()
    const slow = defineMethod({
      name: 'test.slow',
      role: 'read-only',
      isAsync: true,
      parameters: {},
      result: wire('any'),
      run: () => promise,
    })
    const dispatcher = createDispatcher(context, [slow])
    const ref = await dispatcher.call({ method: 'Async.test.slow', params: [session] })
    expect(await catalog.tasks.get(ref as string)).toMatchObject({
      status: 'pending',
      hasTransfer: true,
    })
    const steps: string[] = []
    const idle = dispatcher.idle().then(() => steps.push('idle'))
    steps.push('done')
    resolve(['a'])
    await idle
    expect(steps).toEqual(['done', 'idle'])
    expect(await catalog.tasks.get(ref as string)).toMatchObject({
      status: 'success',
      result: '<value><array><data><value>a</value></data></array></value>',
    })
  })
})

describe('system.listMethods', () => {
  it('lists every call, once, without a session', async () => {
    const { dispatcher } = await createTestApi()
    const names = (await dispatcher.call({ method: 'system.listMethods', params: [] })) as string[]
    expect(new Set(names).size).toBe(names.length)
    expect(names).toEqual(names.toSorted())
    expect(names).toEqual(
      expect.arrayContaining([
        'SM.get_all_records',
        'SR.get_by_name_label',
        'VDI.add_to_sm_config',
        'VDI.create',
        'VDI.get_all_records_where',
        'session.login_with_password',
        'session.logout',
        'system.listMethods',
        'task.cancel',
      ]),
    )
  })
})
