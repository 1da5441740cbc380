// JSON-RPC around the calls: envelopes of both versions, batches, what cannot be read, and that no
// answer ever shows a secret.

import { randomUUID } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { ROOT_PASSWORD } from '../../../support/catalogs.ts'
import type { TestApi } from '../../../support/xenapi.ts'
import { createTestApi } from '../../../support/xenapi.ts'

const send = async ({ jsonRpc }: TestApi, request: unknown): Promise<unknown> =>
  JSON.parse(await jsonRpc(JSON.stringify(request)))

describe('JSON-RPC 2.0', () => {
  it.each([0, 1, -7, 1.5, 'abc', ''])('answers %j under its own id', async (id) => {
    const api = await createTestApi()
    const request = { jsonrpc: '2.0', method: 'pool.get_all', params: [api.session], id }
    expect(await send(api, request)).toEqual({
      jsonrpc: '2.0',
      result: [`OpaqueRef:${api.poolUuid}`],
      id,
    })
  })

  it('has no error key on success, not even null', async () => {
    const api = await createTestApi()
    const params = ['root', ROOT_PASSWORD]
    const request = { jsonrpc: '2.0', method: 'session.login_with_password', params, id: 0 }
    expect(Object.keys((await send(api, request)) as object)).toEqual(['jsonrpc', 'result', 'id'])
  })

  it('carries an error of XenAPI as code 1, its name and its parameters', async () => {
    const api = await createTestApi()
    const ref = `OpaqueRef:${randomUUID()}`
    const request = { jsonrpc: '2.0', method: 'VDI.get_record', params: [api.session, ref], id: 0 }
    expect(await send(api, request)).toEqual({
      jsonrpc: '2.0',
      error: { code: 1, message: 'HANDLE_INVALID', data: ['VDI', ref] },
      id: 0,
    })
  })

  it('writes integers as numbers in answers, maps and events, so that sizes compare as numbers; XML-RPC has strings', async () => {
    const api = await createTestApi()
    const ask = async (method: string, ...params: unknown[]) => {
      const request = { jsonrpc: '2.0', method, params: [api.session, ...params], id: 1 }
      return ((await send(api, request)) as { result: Record<string, unknown> }).result
    }
    const vdis = await Promise.all(
      [99_614_720, '104857600'].map((size) =>
        ask('VDI.create', { SR: api.srUuid, virtual_size: size }),
      ),
    )
    const [, larger] = vdis as unknown as string[]
    expect(await ask('VDI.get_virtual_size', larger)).toBe(104_857_600)
    const records = (await ask('VDI.get_all_records')) as Record<string, { virtual_size: number }>
    expect(records[larger!]!.virtual_size).toBe(104_857_600)
    const [sm] = Object.values(await ask('SM.get_all_records')) as { features: object }[]
    expect(sm!.features).toMatchObject({ VDI_CREATE: 1 })
    const batch = await ask('event.from', [`VDI/${larger}`], '', 0)
    expect(batch['events']).toMatchObject([
      { id: expect.any(Number) as number, snapshot: { virtual_size: 104_857_600 } },
    ])
    expect(await ask('event.get_current_id')).toEqual(expect.any(Number))
    const found = await ask('VDI.get_all_records_where', 'field "virtual_size" = "104857600"')
    expect(Object.keys(found)).toEqual([larger])

    const value = (text: string): string => `<param><value>${text}</value></param>`
    const params = `${value(api.session)}${value(larger!)}`
    const call = `<methodCall><methodName>VDI.get_virtual_size</methodName><params>${params}</params></methodCall>`
    expect(await api.xmlRpc(call)).toContain('<name>Value</name><value>104857600</value>')
  })

  it('writes dates as strings, and integers, floats and booleans as they are', async () => {
    const api = await createTestApi()
    const task = await api.call('task.create', 'x', '')
    const record = { SR: api.srUuid, virtual_size: 1024 }
    const vdi = await api.call('VDI.create', record)
    const read = async (method: string, self: unknown) =>
      (
        (await send(api, { jsonrpc: '2.0', method, params: [api.session, self], id: 1 })) as {
          result: unknown
        }
      ).result
    expect(await read('task.get_record', task)).toMatchObject({
      created: '20250601T12:00:00Z',
      finished: '19700101T00:00:00Z',
      progress: 0,
    })
    expect(await read('VDI.get_record', vdi)).toMatchObject({
      virtual_size: 1024,
      managed: true,
      snapshot_time: '19700101T00:00:00Z',
      tags: [],
      other_config: {},
    })
    expect(await read('VDI.set_name_label', vdi)).toBeUndefined()
  })

  it('takes a call without params for one with none', async () => {
    const api = await createTestApi()
    const request = { jsonrpc: '2.0', method: 'system.listMethods', id: 1 }
    expect(await send(api, request)).toMatchObject({
      result: expect.arrayContaining(['VDI.create']) as string[],
    })
  })
})

describe('JSON-RPC 1.0', () => {
  it.each([{}, { jsonrpc: '1.0' }])('is what carries no version, or %j', async (version) => {
    const api = await createTestApi()
    const request = { ...version, method: 'pool.get_all', params: [api.session], id: 0 }
    expect(await send(api, request)).toEqual({
      result: [`OpaqueRef:${api.poolUuid}`],
      error: null,
      id: 0,
    })
  })

  it('carries an error as a list', async () => {
    const api = await createTestApi()
    expect(await send(api, { method: 'VDI.fly', params: [], id: 'x' })).toEqual({
      result: null,
      error: ['MESSAGE_METHOD_UNKNOWN', 'VDI.fly'],
      id: 'x',
    })
  })
})

describe('a batch', () => {
  it('is answered call by call, in order', async () => {
    const api = await createTestApi()
    const call = (id: number, method: string) => ({
      jsonrpc: '2.0',
      method,
      params: [api.session],
      id,
    })
    expect(
      await send(api, [
        call(2, 'pool.get_all'),
        5,
        call(0, 'VDI.fly'),
        { method: 'host.get_all', params: [api.session], id: 7 },
      ]),
    ).toEqual([
      { jsonrpc: '2.0', result: [`OpaqueRef:${api.poolUuid}`], id: 2 },
      {
        jsonrpc: '2.0',
        error: { code: -32600, message: 'Invalid request: a call is an object' },
        id: null,
      },
      {
        jsonrpc: '2.0',
        error: { code: 1, message: 'MESSAGE_METHOD_UNKNOWN', data: ['VDI.fly'] },
        id: 0,
      },
      { result: [`OpaqueRef:${api.hostUuid}`], error: null, id: 7 },
    ])
  })

  it('is neither empty nor endless', async () => {
    const api = await createTestApi()
    expect(await send(api, [])).toEqual({
      jsonrpc: '2.0',
      error: { code: -32600, message: 'Invalid request: the batch is empty' },
      id: null,
    })
    const call = { jsonrpc: '2.0', method: 'system.listMethods', id: 1 }
    expect(
      await send(
        api,
        Array.from({ length: 101 }, () => call),
      ),
    ).toMatchObject({
      error: { message: 'Invalid request: the batch has 101 calls, the limit is 100' },
    })
  })

  it('of 100 logins has one password worked out, the others are refused', async () => {
    const api = await createTestApi()
    const verify = vi.spyOn(api.catalog.users, 'verify')
    const logins = Array.from({ length: 96 }, (_, id) => ({
      jsonrpc: '2.0',
      method: id % 2 === 0 ? 'session.login_with_password' : 'session_login_with_password',
      params: ['root', `guess ${id}`],
      id,
    }))
    const change = {
      method: 'session.change_password',
      params: [api.session, 'old', 'new'],
      id: 96,
    }
    const other = { jsonrpc: '2.0', method: 'pool.get_all', params: [api.session], id: 97 }
    const answers = (await send(api, [other, ...logins, change, other])) as object[]
    expect(verify).toHaveBeenCalledTimes(1)
    expect(answers[1]).toMatchObject({ error: { message: 'SESSION_AUTHENTICATION_FAILED' } })
    const refused = 'Invalid request: a batch may hold one login, send each on its own'
    for (const answer of answers.slice(2, -1)) {
      expect(answer).toMatchObject({ error: { code: -32600, message: refused } })
    }
    expect(answers[0]).toHaveProperty('result')
    expect(answers.at(-1)).toHaveProperty('result')
  })
})

describe('what is no call', () => {
  it.each([
    ['', -32700],
    ['{', -32700],
    ['{"jsonrpc":"2.0",}', -32700],
    ['<?xml version="1.0"?>', -32700],
    ['null', -32600],
    ['"text"', -32600],
    ['{}', -32600],
    ['{"jsonrpc":"2.0","method":5,"params":[],"id":1}', -32600],
    ['{"jsonrpc":"3.0","method":"a.b","params":[],"id":1}', -32600],
    ['{"jsonrpc":"2.0","method":"a.b","params":[]}', -32600],
    ['{"jsonrpc":"2.0","method":"a.b","params":[],"id":null}', -32600],
    ['{"jsonrpc":"2.0","method":"a.b","params":[],"id":{}}', -32600],
    ['{"jsonrpc":"2.0","method":"a.b","params":{"self":"x"},"id":1}', -32602],
    ['{"jsonrpc":"2.0","method":"a.b","params":"x","id":1}', -32602],
    ['{"jsonrpc":"2.0","method":"a.b","params":null,"id":1}', -32602],
  ])('%s is answered with %d', async (text, code) => {
    const { jsonRpc } = await createTestApi()
    const answer = JSON.parse(await jsonRpc(text)) as { error: object; id: unknown }
    expect(answer).toMatchObject({ jsonrpc: '2.0', error: { code } })
    expect(answer.id).toBe(text.includes('"id":1') ? 1 : null)
    expect(answer).not.toHaveProperty('result')
  })

  it.each([
    ['[', 33],
    ['{"a":', 33],
    ['[', 500_000],
  ])('%s nested %d deep is refused before it is parsed', async (opening, depth) => {
    const { jsonRpc } = await createTestApi()
    expect(JSON.parse(await jsonRpc(opening.repeat(depth)))).toMatchObject({
      error: { code: -32600, message: 'Invalid request: brackets are nested deeper than 32' },
    })
  })

  it('32 deep is parsed', async () => {
    const { jsonRpc } = await createTestApi()
    const answer = await jsonRpc('['.repeat(32) + ']'.repeat(32))
    expect(answer).toContain('Invalid request: a call is an object')
  })

  it('brackets in texts do not count, nor do closed ones', async () => {
    const api = await createTestApi()
    const label = `${'['.repeat(40)}"\\${'{'.repeat(40)}`
    const params = [api.session, label, '']
    const calls = Array.from({ length: 40 }, (_, id) => ({
      jsonrpc: '2.0',
      method: 'task.create',
      params,
      id,
    }))
    expect(await send(api, calls)).toHaveLength(40)
    expect((await api.catalog.tasks.list()).every((task) => task.nameLabel === label)).toBe(true)
  })

  it('a text of quotes and backslashes takes no time', async () => {
    const { jsonRpc } = await createTestApi()
    expect(await jsonRpc(`"${'\\"'.repeat(500_000)}`)).toContain('-32700')
  })
})

describe('secrets', () => {
  const secret = 'hunter2-the-password'

  it('are in no answer, whatever is wrong with the call', async () => {
    const api = await createTestApi()
    const { jsonRpc, session } = api
    await api.catalog.users.create({ name: 'reader', password: secret, role: 'read-only' })
    const reader = await api.login('reader', secret)
    const over = await api.login('reader', secret)
    await api.catalog.sessions.destroy(over)
    const login = 'session.login_with_password'
    const call = (method: string, ...params: unknown[]) =>
      JSON.stringify({ jsonrpc: '2.0', method, params, id: 1 })
    const bodies = [
      call(login, 'root', secret),
      call(login, secret, secret),
      call(login, 'root', { password: secret }),
      call(login, 'root', `${secret}\u0007`),
      call(login, 'root', secret.repeat(1000)),
      call(login, 'root', secret, '', '', ''),
      call(login, secret),
      call('VDI.get_record', over, 'x'),
      call('VDI.get_record', `${session}x`, 'x'),
      call('VDI.create', session),
      call('VDI.create', reader, {}),
      call('Async.VDI.create', reader, {}),
      call('session.logout', session, 'x'),
      call('session.logout', over),
      call('pool.get_all', [session]),
      call('VDI.set_other_config', session, randomUUID(), { password: [secret] }),
      call('VDI.create', session, { SR: api.srUuid, virtual_size: secret, name_label: secret }),
      `${call(login, 'root', secret)}}`,
      call(login, 'root', secret).slice(0, -10),
      call(login, 'root', secret).replace('"id":1', '"id":{}'),
      call(login, 'root', secret).replace('[', '{').replace(']', '}'),
    ]
    for (const body of bodies) {
      const answer = await jsonRpc(body)
      expect(answer).toContain('"error"')
      for (const hidden of [secret, session, over, reader]) expect(answer).not.toContain(hidden)
    }
    expect(JSON.stringify(api.logged)).not.toContain(secret)
    expect(JSON.stringify(await api.catalog.tasks.list())).not.toContain(secret)
  })

  it('are in no error as it would be logged', async () => {
    const { dispatcher, catalog, context, session } = await createTestApi()
    const inspect = (error: unknown): string =>
      JSON.stringify([error, String(error), (error as Error).stack, (error as Error).cause])
    const attempts = [
      dispatcher.call({ method: 'session.login_with_password', params: ['root', secret] }),
      dispatcher.call({ method: 'session.login_with_password', params: ['root', [secret]] }),
      context.authenticate({ basic: { user: 'root', password: secret } }),
      context.authenticate({ sessionId: secret }),
      dispatcher.call({ method: 'VDI.get_all', params: [secret] }),
      dispatcher.call({ method: 'VDI.get_all', params: [session, 'x'] }),
      catalog.users.create({ name: 'x', password: secret.repeat(100), role: 'read-only' }),
    ]
    for (const outcome of await Promise.allSettled(attempts)) {
      expect(outcome.status).toBe('rejected')
      const shown = outcome.status === 'rejected' ? inspect(outcome.reason) : ''
      expect(shown).not.toContain(secret)
      expect(shown).not.toContain(session)
    }
  })
})
