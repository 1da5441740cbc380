// What of a request is ambiguous or of no meaning here, and is refused instead of being guessed.

import { describe, expect, test } from 'vitest'
import { SECTOR_SIZE } from '../../../src/units.ts'
import { startImportServer } from '../../support/import-server.ts'

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])

const close = 'Connection: close\r\n'

describe('methods', () => {
  test.each([
    ['/import_raw_vdi', ['GET', 'POST', 'DELETE', 'OPTIONS', 'PATCH'], 'PUT'],
    ['/export_raw_vdi/', ['PUT', 'POST', 'DELETE', 'OPTIONS'], 'GET, HEAD'],
    ['/vdi_extents', ['PUT', 'POST', 'DELETE', 'OPTIONS'], 'GET, HEAD'],
  ])('%s takes no other: 405 with those it takes', async (path, methods, allowed) => {
    const { connect } = await startImportServer()
    for (const method of methods) {
      const client = await connect()
      client.send(
        `${method} ${path}?vdi=x HTTP/1.1\r\nHost: x\r\n${close}Content-Length: 0\r\n\r\n`,
      )
      const answer = await client.closed
      expect(statusOf(answer)).toBe(405)
      expect(answer).toMatch(new RegExp(`^allow: ${allowed}\r$`, 'im'))
      expect(answer).toContain(`does not take ${method}: use `)
    }
  })

  test('a POST that waits for 100 Continue is refused before its body', async () => {
    const { connect } = await startImportServer()
    const client = await connect()
    client.send(
      'POST /import_raw_vdi HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n',
    )
    expect(statusOf(await client.until(/use PUT/))).toBe(405)
  })
})

describe('headers that come twice', () => {
  test.each([
    'Host: x',
    'Authorization: Basic eA==',
    'Content-Type: text/plain',
    'Range: bytes=0-1',
  ])('%s: 400', async (header) => {
    const { connect } = await startImportServer()
    const client = await connect()
    const others = header.startsWith('Host') ? '' : 'Host: x\r\n'
    client.send(`GET /vdi_extents HTTP/1.1\r\n${others}${header}\r\n${header}\r\n${close}\r\n`)
    const answer = await client.closed
    expect(statusOf(answer)).toBe(400)
    expect(answer).toContain(`has the header ${header.split(':')[0]} twice`)
  })

  test('those of which a request may have many pass', async () => {
    const { connect } = await startImportServer()
    const client = await connect()
    const many = 'Cookie: a=1\r\nCookie: b=2\r\nIf-Match: "a"\r\nIf-Match: "b"\r\n'
    client.send(`GET /vdi_extents HTTP/1.1\r\nHost: x\r\n${many}${close}\r\n`)
    expect(await client.closed).not.toContain('twice')
  })
})

describe('parameters that nobody knows', () => {
  test.each([
    ['node:http', 'Content-Length: 512\r\n', '1.1'],
    ['a bare socket', 'Content-Length: 512\r\n', '1.0'],
  ])('over %s one that looks like a slip is named in a warning', async (_door, length, version) => {
    const { connect, createVdi } = await startImportServer()
    const vdi = await createVdi(SECTOR_SIZE)
    const client = await connect()
    client.send(
      `PUT /import_raw_vdi?vdi=${vdi}&fmt=raw HTTP/${version}\r\nHost: x\r\n${close}${length}\r\n`,
    )
    client.send(Buffer.alloc(SECTOR_SIZE, 1))
    const answer = await client.closed
    expect(statusOf(answer)).toBe(200)
    expect(answer).toMatch(
      /^warning: 299 diskport "unknown parameter fmt is ignored, is format meant\?"\r$/m,
    )
  })

  test('a refused download is warned, too', async () => {
    const { connect } = await startImportServer()
    const client = await connect()
    client.send(`GET /export_raw_vdi?vid=x HTTP/1.1\r\nHost: x\r\n${close}\r\n`)
    const answer = await client.closed
    expect(statusOf(answer)).toBe(400)
    expect(answer).toContain('unknown parameter vid is ignored, is vdi meant?')
  })
})

describe('an upload that told no length', () => {
  test('may have other headers twice', async () => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(SECTOR_SIZE)
    const task = await createTask()
    const client = await connect()
    const twice = 'Accept: text/plain\r\nAccept: */*\r\n'
    client.send(
      `PUT /import_raw_vdi?vdi=${vdi}&task_id=${task}&format=raw HTTP/1.0\r\n${twice}\r\n`,
    )
    const body = Buffer.alloc(SECTOR_SIZE, 7)
    client.send(body)
    client.socket.end()
    expect(await ended(task)).toMatchObject({ status: 'success' })
    expect(Buffer.from(await read(vdi))).toEqual(body)
  })
})

describe('a Content-Length that is no number of bytes', () => {
  test.each(['abc', '-1', '1e3', '99999999999999999999'])('%s fails the task', async (length) => {
    const { connect, createVdi, createTask, ended } = await startImportServer()
    const task = await createTask()
    const client = await connect()
    client.send(
      `PUT /import_raw_vdi?vdi=${await createVdi(SECTOR_SIZE)}&task_id=${task} HTTP/1.1\r\nHost: x\r\n${close}Content-Length: ${length}\r\n\r\n`,
    )
    expect(statusOf(await client.closed)).toBe(400)
    expect(await ended(task)).toMatchObject({ status: 'failure' })
  })
})

describe('parameters that are given twice', () => {
  test.each([
    ['node:http', '1.1'],
    ['a bare socket', '1.0'],
  ])(
    'over %s a doubled task_id is refused, not a failure of the server',
    async (_door, version) => {
      const { connect, createVdi, createTask, errors } = await startImportServer()
      const query = `vdi=${await createVdi(SECTOR_SIZE)}&task_id=${await createTask()}&task_id=other`
      const client = await connect()
      client.send(
        `PUT /import_raw_vdi?${query} HTTP/${version}\r\nHost: x\r\n${close}Content-Length: 512\r\n\r\n`,
      )
      const answer = await client.closed
      expect(statusOf(answer)).toBe(400)
      expect(answer).toContain('task_id has 2 values')
      expect(errors).toEqual([])
    },
  )

  test('a doubled or empty vdi fails the task of the request', async () => {
    const { connect, createTask, ended } = await startImportServer()
    for (const vdi of ['vdi=a&vdi=b', 'vdi=']) {
      const task = await createTask()
      const client = await connect()
      client.send(
        `PUT /import_raw_vdi?${vdi}&task_id=${task} HTTP/1.1\r\nHost: x\r\n${close}Content-Length: 512\r\n\r\n`,
      )
      expect(statusOf(await client.closed)).toBe(400)
      expect((await ended(task)).status).toBe('failure')
    }
  })
})

describe('a VDI that becomes read-only while an upload is waited for', () => {
  test('is not written', async () => {
    const { connect, createVdi, createTask, ended, catalog } = await startImportServer()
    const vdi = await createVdi(SECTOR_SIZE)
    const task = await createTask()
    const client = await connect()
    client.send(
      `PUT /import_raw_vdi?vdi=${vdi}&task_id=${task}&format=raw HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 ** 50}\r\n\r\n`,
    )
    await client.until(/\r\n\r\n/)
    await catalog.vdis.update(vdi, () => ({ readOnly: true }))
    client.send(Buffer.alloc(SECTOR_SIZE, 1))
    client.socket.end()
    expect(await ended(task)).toMatchObject({
      status: 'failure',
      errorInfo: ['VDI_READONLY', `OpaqueRef:${vdi}`],
    })
    expect((await catalog.vdis.get(vdi))!.layerUuid).toBeNull()
  })
})

describe('a request behind an upload that told no length', () => {
  const next = 'GET /export_raw_vdi?vdi=x&format=raw HTTP/1.1\r\nHost: x\r\n\r\n'

  test.each([
    ['at once', [next]],
    ['byte by byte', Array.from(Buffer.from(next), (byte) => Uint8Array.of(byte))],
  ])('%s: it does not become the content of the disk', async (_how, pieces) => {
    const { connect, createVdi, createTask, ended, catalog } = await startImportServer()
    const vdi = await createVdi(SECTOR_SIZE)
    const task = await createTask()
    const client = await connect()
    client.socket.setNoDelay(true)
    client.send(`PUT /import_raw_vdi?vdi=${vdi}&task_id=${task} HTTP/1.1\r\nHost: x\r\n\r\n`)
    for (const piece of pieces) {
      client.send(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    client.socket.end()
    const { status, errorInfo } = await ended(task)
    expect([status, errorInfo[0]]).toEqual(['failure', 'IMPORT_ERROR_GENERIC'])
    expect(errorInfo[1]).toContain('the request "GET /export_raw_vdi?vdi=x&format=raw HTTP/1.1"')
    expect((await catalog.vdis.get(vdi))!.layerUuid).toBeNull()
  })

  test.each([
    ['HTTP/1.0', '1.0', ''],
    ['Connection: close', '1.1', close],
  ])('%s: the client closes behind its body, which may begin so', async (_who, version, more) => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(SECTOR_SIZE)
    const task = await createTask()
    const client = await connect()
    client.send(
      `PUT /import_raw_vdi?vdi=${vdi}&task_id=${task}&format=raw HTTP/${version}\r\nHost: x\r\n${more}\r\n`,
    )
    const body = Buffer.alloc(SECTOR_SIZE)
    body.write(next)
    client.send(body)
    client.socket.end()
    expect(await ended(task)).toMatchObject({ status: 'success' })
    expect(Buffer.from(await read(vdi))).toEqual(body)
  })

  test.each([
    ['GET /', 'a beginning that ends'],
    ['GET / HTTP/1.1 and no request', 'a line that goes on'],
    [`GET /${'a'.repeat(400)}`, 'a long word'],
  ])('content that only begins alike is content: %s', async (start) => {
    const { connect, createVdi, createTask, ended, read } = await startImportServer()
    const vdi = await createVdi(SECTOR_SIZE)
    const task = await createTask()
    const client = await connect()
    client.send(
      `PUT /import_raw_vdi?vdi=${vdi}&task_id=${task}&format=raw HTTP/1.1\r\nHost: x\r\n\r\n`,
    )
    const body = Buffer.alloc(SECTOR_SIZE, start)
    client.send(body)
    client.socket.end()
    expect(await ended(task)).toMatchObject({ status: 'success' })
    expect(Buffer.from(await read(vdi))).toEqual(body)
  })
})
