// POST /jsonrpc and the paths of XML-RPC as HTTP.

import { Hono } from 'hono'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createListener } from '../../../routes/app.ts'
import type { NodeEnvironment } from '../../../routes/environment.ts'
import { createRpcRoutes } from '../../../routes/rpc.ts'
import type { Answer } from '../../../src/xenapi/rpc/answer.ts'
import { createHttpServer, listen } from '../../../src/net/http-server.ts'
import { answerOf } from '../../support/answers.ts'
import { ROOT_PASSWORD } from '../../support/catalogs.ts'
import { within } from '../../support/wait.ts'
import { createTestApi } from '../../support/xenapi.ts'

const start = async () => {
  const api = await createTestApi()
  const app = createRpcRoutes(api.protocols)
  const post = (body: string | Uint8Array<ArrayBuffer> | ReadableStream, headers = {}) =>
    app.request('/jsonrpc', { method: 'POST', body, headers, duplex: 'half' })
  return { ...api, app, post }
}

const login = JSON.stringify({
  jsonrpc: '2.0',
  method: 'session.login_with_password',
  params: ['root', ROOT_PASSWORD],
  id: 0,
})

describe('POST /jsonrpc', () => {
  it('answers as application/json, without any charset', async () => {
    const { post } = await start()
    const response = await post(login)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual({
      jsonrpc: '2.0',
      result: expect.stringMatching(/^OpaqueRef:/) as string,
      id: 0,
    })
  })

  it.each(['application/json', 'application/json; charset=utf-8', 'text/plain', ''])(
    'takes calls of the content type "%s"',
    async (type) => {
      const { post } = await start()
      const response = await post(login, { 'content-type': type })
      expect(await response.json()).toHaveProperty('result')
    },
  )

  it.each(['{"method":"VDI.fly","params":[],"id":1}', 'no JSON', ''])(
    'answers 200 in the same way to what fails: %s',
    async (body) => {
      const { post } = await start()
      const response = await post(body)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(await response.json()).toHaveProperty('error')
    },
  )

  it('carries all of Unicode both ways', async () => {
    const { post, session } = await start()
    const call = (method: string, ...params: string[]) =>
      JSON.stringify({ jsonrpc: '2.0', method, params: [session, ...params], id: 1 })
    const created = await post(call('task.create', 'Größe 💾 日本', ''))
    const { result } = (await created.json()) as { result: string }
    const read = await post(call('task.get_name_label', result))
    expect(await read.json()).toMatchObject({ result: 'Größe 💾 日本' })
  })

  it('refuses bytes that are not UTF-8', async () => {
    const { post } = await start()
    const response = await post(new Uint8Array([0x22, 0xff, 0x22]))
    expect(await response.json()).toMatchObject({
      error: { code: -32600, message: 'Invalid request: the body is not UTF-8' },
    })
  })

  it.each([true, false])('takes 1 MiB and no more, length announced: %s', async (announced) => {
    const { post } = await start()
    const send = (size: number) => {
      const body = new TextEncoder().encode(login.padEnd(size))
      if (announced) return post(body, { 'content-length': String(size) })
      return post(new Blob([body]).stream())
    }
    expect((await send(1024 * 1024)).status).toBe(200)
    const response = await send(1024 * 1024 + 1)
    expect(response.status).toBe(413)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual({
      jsonrpc: '2.0',
      error: { code: -32600, message: 'Invalid request: the body is longer than 1048576 bytes' },
      id: null,
    })
  })
})

describe('other methods on /jsonrpc', () => {
  it.each(['GET', 'PUT', 'DELETE'])('%s is told what to do', async (method) => {
    const { app } = await start()
    const response = await app.request('/jsonrpc', { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('POST')
    expect(await response.text()).toContain('by POST')
  })
})

describe.each(['/', '/RPC2', '/xmlrpc'])('XML-RPC on %s', (path) => {
  const xmlLogin =
    '<?xml version="1.0"?><methodCall><methodName>session.login_with_password</methodName><params>' +
    `<param><value>root</value></param><param><value>${ROOT_PASSWORD}</value></param></params></methodCall>`

  const send = async (body: string | Uint8Array<ArrayBuffer>) => {
    const { app } = await start()
    return app.request(path, { method: 'POST', body, headers: { 'content-type': 'text/xml' } })
  }

  it('answers as text/xml, without any charset', async () => {
    const response = await send(xmlLogin)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/xml')
    expect(await response.text()).toMatch(/Success.*OpaqueRef:/)
  })

  it.each([
    [xmlLogin.replace('login_with_password', 'fly'), 'MESSAGE_METHOD_UNKNOWN'],
    ['no XML', '<fault>'],
  ])('answers 200 in the same way to what fails: %s', async (body, expected) => {
    const response = await send(body)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/xml')
    expect(await response.text()).toContain(expected)
  })

  it('refuses bytes that are not UTF-8', async () => {
    const response = await send(new Uint8Array([0x3c, 0xff, 0x3e]))
    expect(await response.text()).toContain('Cannot read the call: the body is not UTF-8')
  })

  it('takes 1 MiB and no more', async () => {
    expect((await send(xmlLogin.padEnd(1024 * 1024))).status).toBe(200)
    const response = await send(xmlLogin.padEnd(1024 * 1024 + 1))
    expect(response.status).toBe(413)
    expect(response.headers.get('content-type')).toBe('text/xml')
    expect(await response.text()).toContain(
      '<value>Cannot read the call: the body is longer than 1048576 bytes</value>',
    )
  })

  it('GET is told what to do', async () => {
    const { app } = await start()
    const response = await app.request(path)
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('POST')
    expect(await response.text()).toContain('by POST')
  })
})

const nothing = answerOf('')

describe('a client that leaves', () => {
  it.each(['/jsonrpc', '/'])('ends its call on %s', async (path) => {
    const begun = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<Answer>()
    const waits = async (_text: string, signal?: AbortSignal) => {
      signal?.addEventListener('abort', () => ended.resolve(nothing))
      begun.resolve()
      return ended.promise
    }
    const app = new Hono<NodeEnvironment>()
    app.route('/', createRpcRoutes({ jsonRpc: waits, xmlRpc: waits }))
    const server = createHttpServer(createListener(app))
    onTestFinished(() => void server.close())
    const url = await listen(server, { host: '127.0.0.1', port: 0 })
    const client = new AbortController()
    const left = fetch(`${url}${path}`, { method: 'POST', body: 'x', signal: client.signal })
    await within('the call to begin', begun.promise)
    client.abort()
    await expect(left).rejects.toThrow('aborted')
    expect(await within('the call to end', ended.promise)).toBe(nothing)
  })
})
