// Speaking to another server: what is asked and sent, what goes wrong on the way, and whom it is
// spoken to at all.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { remoteAddress } from '../../../src/remote/address.ts'
import { createRemoteClient } from '../../../src/remote/client.ts'
import { RemoteCutError, RemoteError } from '../../../src/remote/remote-errors.ts'
import { createTestFolder, hasTool, run } from '../../support/tools.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const listen = async (server: Server, host = '127.0.0.1'): Promise<number> => {
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const start = async (handle: Handler) => {
  const server = createServer({ requestTimeout: 0 }, handle)
  const port = await listen(server)
  return { server, client: clientOf(`http://127.0.0.1:${port}`) }
}

const clientOf = (url: string, options = {}, authorities?: string) => {
  const client = createRemoteClient(remoteAddress({ url, ...options }, authorities))
  onTestFinished(() => client.close())
  return client
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}

const answer = (response: ServerResponse, body: object, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }))
}

/** Pieces of bytes, and which of them were asked for and given back. */
const createPieces = (sizes: readonly number[]) => {
  const told = { asked: 0, released: 0 }
  async function* pieces() {
    for (const size of sizes) {
      told.asked += 1
      const release = (): void => {
        told.released += 1
      }
      yield { bytes: Buffer.alloc(size, 7), release }
    }
  }
  return { told, pieces, length: sizes.reduce((sum, size) => sum + size, 0) }
}

const upload = (parts: ReturnType<typeof createPieces>, signal = new AbortController().signal) => ({
  path: '/import_raw_vdi?vdi=x',
  mediaType: 'application/octet-stream',
  length: parts.length,
  pieces: parts.pieces,
  signal,
  onProgress: () => {},
})

describe('a call', () => {
  test('sends its parameters and gives the result; connections are used again', async () => {
    const ports = new Set<number | undefined>()
    const { client } = await start((request, response) => {
      ports.add(request.socket.remotePort)
      void bodyOf(request).then((body) => {
        answer(response, { result: JSON.parse(body.toString()) as object })
      })
    })
    for (const params of [['a', { b: 1 }], []]) {
      expect(await client.call('VM.get', params)).toEqual({
        jsonrpc: '2.0',
        id: 1,
        method: 'VM.get',
        params,
      })
    }
    expect(ports.size).toBe(1)
  })

  test('throws the error of the other server under its own code', async () => {
    const errors = [
      { code: 1, message: 'SR_FULL', data: ['7', '3'] },
      { code: 1, message: 'NO_SUCH_CODE', data: ['a'] },
    ]
    const { client } = await start((_request, response) => {
      answer(response, { error: errors.shift() })
    })
    const known = await client.call('a', []).catch((error: unknown) => error)
    expect(known).toBeInstanceOf(RemoteError)
    expect(known).toMatchObject({ code: 'SR_FULL', params: ['7', '3'] })
    expect(String(known)).toContain(`(says the server ${client.host})`)
    await expect(client.call('a', [])).rejects.toMatchObject({
      code: 'INTERNAL_ERROR',
      params: [expect.stringContaining('NO_SUCH_CODE a (says')],
    })
  })

  test.each<[string, Handler]>([
    ['no JSON', (_, response) => void response.end('<html>')],
    ['a status', (_, response) => answer(response, {}, 502)],
    ['neither result nor error', (_, response) => answer(response, {})],
    [
      'a redirect, which is not followed',
      (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    ],
    [
      'more than it may',
      (_, response) => {
        response.writeHead(200)
        for (let part = 0; part < 20; part += 1) response.write(Buffer.alloc(1 << 20, 32))
        response.end()
      },
    ],
  ])('that is answered with %s is not understood', async (_name, handle) => {
    const { client } = await start(handle)
    await expect(client.call('a', [])).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
      params: [expect.stringContaining('is not understood')],
    })
  })

  test('whose connection breaks says so, and nothing of what was asked', async () => {
    const { client } = await start((request) => void request.socket.destroy())
    const error = await client
      .call('secret.method', ['a secret'])
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(RemoteCutError)
    expect(String(error)).not.toContain('secret')
    const nobody = clientOf('http://127.0.0.1:1')
    await expect(nobody.call('a', [])).rejects.toBeInstanceOf(RemoteCutError)
  })

  test('that is given up throws the reason', async () => {
    const { client } = await start(() => {})
    const stop = new AbortController()
    const call = client.call('a', [], stop.signal)
    setTimeout(() => stop.abort(new Error('enough')), 20)
    await expect(call).rejects.toThrow('enough')
    await expect(client.call('a', [], stop.signal)).rejects.toThrow('enough')
  })
})

describe('an upload', () => {
  test('sends all pieces with their length, and gives each back', async () => {
    const received: Buffer[] = []
    const { server, client } = await start(() => {})
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      expect(request.headers).toMatchObject({ 'content-length': String(5 << 20) })
      response.writeContinue()
      void bodyOf(request).then((body) => {
        received.push(body)
        answer(response, {})
      })
    })
    const parts = createPieces([1 << 20, 3 << 20, 1 << 20])
    await client.put(upload(parts))
    expect(received[0]?.length).toBe(5 << 20)
    expect(parts.told).toEqual({ asked: 3, released: 3 })
  })

  test('that is refused at once asks for no piece', async () => {
    const { server, client } = await start(() => {})
    server.on('checkContinue', (_request: IncomingMessage, response: ServerResponse) => {
      answer(response, { code: 'VDI_READONLY', params: ['x'], message: 'it is read-only' }, 409)
    })
    const parts = createPieces([1 << 20])
    await expect(client.put(upload(parts))).rejects.toMatchObject({
      code: 'VDI_READONLY',
      params: ['x'],
      message: `it is read-only (says the server ${client.host})`,
    })
    expect(parts.told.asked).toBe(0)
  })

  test('that is refused in the middle ends with the refusal', async () => {
    const { server, client } = await start(() => {})
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      response.writeContinue()
      request.once('data', () => {
        answer(response, { code: 'SR_FULL', params: [], message: 'it is full' }, 507)
        request.resume()
      })
    })
    const parts = createPieces(Array.from({ length: 64 }, () => 1 << 20))
    await expect(client.put(upload(parts))).rejects.toMatchObject({ code: 'SR_FULL' })
  })

  test('whose connection breaks in the middle is cut; one that is given up throws the reason', async () => {
    const { server, client } = await start(() => {})
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      response.writeContinue()
      request.once('data', () => request.socket.destroy())
    })
    const parts = createPieces(Array.from({ length: 64 }, () => 1 << 20))
    await expect(client.put(upload(parts))).rejects.toBeInstanceOf(RemoteCutError)
    expect(parts.told.asked).toBeLessThan(64)

    const stalled = await start(() => {})
    stalled.server.on('checkContinue', (_: IncomingMessage, response: ServerResponse) => {
      response.writeContinue()
    })
    const stop = new AbortController()
    const put = stalled.client.put(upload(createPieces([64 << 20]), stop.signal))
    setTimeout(() => stop.abort(new Error('enough')), 50)
    await expect(put).rejects.toThrow('enough')
  })

  test('whose pieces cannot be read throws what they throw, and is not ended as if whole', async () => {
    let isWhole = false
    const { server, client } = await start(() => {})
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      response.writeContinue()
      request.on('end', () => (isWhole = true)).resume()
    })
    async function* pieces() {
      yield { bytes: Buffer.alloc(1024), release: () => {} }
      throw new RangeError('the disk is broken')
    }
    const parts = { ...createPieces([2048]), pieces }
    await expect(client.put(upload(parts))).rejects.toThrow('the disk is broken')
    expect(isWhole).toBe(false)
  })
})

describe('plain HTTP', () => {
  const address = Object.values(networkInterfaces())
    .flat()
    .find((found) => found?.family === 'IPv4' && !found.internal)?.address

  test.skipIf(address === undefined)('leaves this machine only where that is allowed', async () => {
    let connections = 0
    const server = createServer((_request, response) => answer(response, { result: 'there' }))
    server.on('connection', (socket) => {
      socket.once('data', () => (connections += 1))
    })
    const port = await listen(server, '0.0.0.0')
    const url = `http://${address}:${port}`
    await expect(clientOf(url).call('a', ['secret'])).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
    })
    expect(connections).toBe(0)
    expect(await clientOf(url, { plain: 'true' }).call('a', [])).toBe('there')
  })
})

describe.skipIf(!hasTool('openssl'))('TLS', () => {
  test('is spoken only to whom the certificate shows, before a byte is sent', async () => {
    const folder = await createTestFolder()
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const kind = ['-x509', '-nodes', '-days', '2', '-newkey', 'rsa:2048', '-subj', '/CN=a']
    const names = ['-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]
    await run('openssl', ['req', ...kind, ...names])
    const pem = await readFile(cert, 'utf8')
    let requests = 0
    const server = createTlsServer({ key: await readFile(key), cert: pem }, (_, response) => {
      requests += 1
      answer(response, { result: 'there' })
    })
    const port = await listen(server)
    const named = `https://localhost:${port}`
    const byAddress = `https://127.0.0.1:${port}`
    const fingerprint = new X509Certificate(pem).fingerprint256
    const refused = { code: 'OPERATION_NOT_ALLOWED' }
    const wrong = { fingerprint: 'ab'.repeat(32) }
    await expect(clientOf(named).call('a', [])).rejects.toMatchObject(refused)
    await expect(clientOf(byAddress, {}, pem).call('a', [])).rejects.toMatchObject(refused)
    await expect(clientOf(named, wrong, pem).call('a', [])).rejects.toMatchObject(refused)
    expect(requests).toBe(0)
    expect(await clientOf(named, {}, pem).call('a', [])).toBe('there')
    expect(await clientOf(byAddress, { fingerprint }).call('a', [])).toBe('there')
    expect(await clientOf(byAddress, { verify: 'false' }).call('a', [])).toBe('there')
  })
})
