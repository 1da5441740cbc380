// The socket front against real sockets: who gets a connection, and that no byte of it is lost.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { RawRoute } from '../../../src/net/front.ts'
import { placeFront } from '../../../src/net/front.ts'
import { createHttpServer } from '../../../src/net/http-server.ts'
import type { RequestHead } from '../../../src/net/request-head.ts'
import { connectRaw } from '../../support/raw-client.ts'
import { within } from '../../support/wait.ts'

/** Says who answered, and the whole of what came. */
const answerByNode = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
  const body = Buffer.concat((await Array.fromAsync(incoming)) as Uint8Array[])
  outgoing.end(`node ${incoming.method} ${incoming.url} ${body.length}\n`)
}

const answerRaw = async (head: RequestHead, socket: Socket): Promise<void> => {
  socket.write(`raw ${head.method} ${head.url}\n`)
  const body = Buffer.concat((await Array.fromAsync(socket)) as Uint8Array[])
  socket.end(`got ${body.toString('latin1')}\n`)
}

const route: RawRoute = {
  method: 'PUT',
  path: '/raw',
  takes: ({ headers }) => headers['content-length'] === undefined,
  handle: answerRaw,
}

const start = async (routes: readonly RawRoute[] = [route], headTimeout = 60_000) => {
  const errors: unknown[] = []
  const server = createHttpServer(
    (incoming, outgoing) => void answerByNode(incoming, outgoing).catch(() => {}),
  )
  const front = placeFront(server, routes, { headTimeout, onError: (error) => errors.push(error) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = (): void => {
    server.close()
    server.closeAllConnections()
    front.closeAll()
  }
  onTestFinished(close)
  const { port } = server.address() as AddressInfo
  return { server, front, errors, port, connect: () => connectRaw(port) }
}

const close = 'connection: close\r\n'

describe('connections for node:http', () => {
  test('requests of all kinds pass whole, in one piece or byte by byte', async () => {
    const { connect } = await start()
    const requests = [
      [`GET /a HTTP/1.1\r\nhost: x\r\n${close}\r\n`, 'node GET /a 0'],
      [
        `POST /raw HTTP/1.1\r\nhost: x\r\n${close}content-length: 5\r\n\r\nhello`,
        'node POST /raw 5',
      ],
      [`PUT /raw HTTP/1.1\r\nhost: x\r\n${close}content-length: 5\r\n\r\nhello`, 'node PUT /raw 5'],
      [`PUT /rawer HTTP/1.1\r\nhost: x\r\n${close}\r\n`, 'node PUT /rawer 0'],
      [`PUT /ra HTTP/1.0\r\n\r\n`, 'node PUT /ra 0'],
    ] as const
    for (const [bytes, expected] of requests) {
      const whole = await connect()
      whole.send(bytes)
      expect(await whole.closed).toContain(expected)
      const slow = await connect()
      slow.socket.setNoDelay(true)
      for (const byte of bytes) {
        slow.send(byte)
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(await slow.closed).toContain(expected)
    }
  })

  test('a body of megabytes that follows the head at once arrives whole', async () => {
    const { connect } = await start()
    const client = await connect()
    const body = Buffer.alloc(20 << 20, 7)
    const head = `PUT /raw HTTP/1.1\r\nhost: x\r\n${close}content-length: ${body.length}\r\n\r\n`
    client.send(Buffer.concat([Buffer.from(head), body]))
    expect(await client.closed).toContain(`node PUT /raw ${body.length}\n`)
  })

  test('pipelined requests and later requests of a connection are node’s', async () => {
    const { connect } = await start()
    const client = await connect()
    client.send('GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n')
    await client.until(/node GET \/2 0\n/)
    client.send(`PUT /raw HTTP/1.1\r\nhost: x\r\n${close}\r\n`)
    expect(await client.closed).toContain('node PUT /raw 0\n')
  })

  test.each([
    ['too long', `PUT /raw HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    [
      'without end and too long',
      `PUT /raw HTTP/1.1\r\nx: ${'y'.repeat(40_000)}`,
      /^HTTP\/1\.1 431 /,
    ],
    ['without carriage returns', 'PUT /raw HTTP/1.1\nhost: x\n\n', /^HTTP\/1\.1 400 /],
    ['with a folded line', 'PUT /raw HTTP/1.1\r\na: b\r\n c\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['with a space before the colon', 'PUT /raw HTTP/1.1\r\na : b\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 400 /],
    [
      'with two lengths',
      'PUT /raw HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
  ])('a head %s is refused in node’s words', async (_, head, expected) => {
    const { connect } = await start()
    const client = await connect()
    client.send(head)
    expect(await client.closed).toMatch(expected)
  })
})

describe('connections that are taken', () => {
  const head = 'PUT /raw?a=b HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\ncookie: b=2\r\n\r\n'

  test.each([1, 3, head.length - 3, head.length, head.length + 2, head.length + 4])(
    'the body begins right after the head, cut at byte %i',
    async (cut) => {
      const { connect } = await start()
      const client = await connect()
      client.socket.setNoDelay(true)
      const bytes = `${head}body`
      client.send(bytes.slice(0, cut))
      await new Promise((resolve) => setImmediate(resolve))
      client.send(bytes.slice(cut))
      await client.until(/^raw PUT \/raw\?a=b\n$/)
      client.send(' and more')
      client.socket.end()
      expect(await client.closed).toBe('raw PUT /raw?a=b\ngot body and more\n')
    },
  )

  test('a head and a body that end with the connection in one piece', async () => {
    const { connect } = await start()
    const client = await connect()
    client.socket.end(`${head}body`)
    expect(await client.closed).toBe('raw PUT /raw?a=b\ngot body\n')
  })

  test('headers come in lower case, cookies joined', async () => {
    const heads: RequestHead[] = []
    const handle = async (head: RequestHead): Promise<void> => void heads.push(head)
    const { connect } = await start([{ ...route, handle }])
    const client = await connect()
    client.send(head)
    expect(await client.closed).toBe('')
    expect(heads).toEqual([
      {
        method: 'PUT',
        url: '/raw?a=b',
        httpVersion: '1.1',
        headers: expect.objectContaining({ host: 'x', cookie: 'a=1; b=2' }) as unknown,
      },
    ])
  })

  test('a route that throws is told to the log, and the connection ends', async () => {
    const handle = (): Promise<void> => Promise.reject(new Error('broken'))
    const { connect, errors, front } = await start([{ ...route, handle }])
    const client = await connect()
    client.send(head)
    expect(await client.closed).toBe('')
    expect(errors).toEqual([new Error('broken')])
    expect(front.taken).toBe(0)
  })

  test('a client that cuts the connection is the end of it, not of the server', async () => {
    const broken = Promise.withResolvers<unknown>()
    const handle = (_: RequestHead, socket: Socket): Promise<void> =>
      Array.fromAsync(socket).then(
        () => broken.resolve('ended'),
        (error: unknown) => broken.resolve(error),
      )
    const { connect } = await start([{ ...route, handle }])
    const client = await connect()
    client.send(`${head}body`)
    client.socket.resetAndDestroy()
    expect(await within('the route to see it', broken.promise)).toMatchObject({
      code: expect.stringMatching(/ECONNRESET|PREMATURE/) as unknown,
    })
    const next = await connect()
    next.send(`GET /still HTTP/1.1\r\nhost: x\r\n${close}\r\n`)
    expect(await next.closed).toContain('node GET /still 0\n')
  })
})

describe('clients that do not come to the point', () => {
  test.each(['', 'PU', 'PUT /raw HTTP/1.1\r\nhost: x\r\n'])(
    'a head that stops at %j: 408 at the deadline',
    async (bytes) => {
      const { connect } = await start([route], 50)
      const client = await connect()
      if (bytes !== '') client.send(bytes)
      expect(await client.closed).toMatch(/^HTTP\/1\.1 408 /)
    },
  )

  test('one that leaves in the middle of its head is forgotten', async () => {
    const { connect, server } = await start()
    const client = await connect()
    client.send('PUT /raw HTT')
    await new Promise((resolve) => setImmediate(resolve))
    client.socket.end()
    expect(await client.closed).toBe('')
    const connections = await new Promise((resolve) =>
      server.getConnections((_, count) => resolve(count)),
    )
    expect(connections).toBe(0)
  })

  test('a stop closes those that wait first, and those that are taken in the end', async () => {
    const { connect, front } = await start()
    const silent = await connect()
    const taken = await connect()
    taken.send(head())
    await taken.until(/^raw /)
    front.closeWaiting()
    expect(await silent.closed).toBe('')
    expect(front.taken).toBe(1)
    front.closeAll()
    expect(await taken.closed).toBe('raw PUT /raw\n')
  })
})

const head = (): string => 'PUT /raw HTTP/1.0\r\n\r\n'
