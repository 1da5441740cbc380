// Large answers over a real connection: their length, their bytes, and clients that do not read
// them.

import { once } from 'node:events'
import { connect } from 'node:net'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { createListener } from '../../../routes/app.ts'
import type { NodeEnvironment } from '../../../routes/environment.ts'
import { createRpcRoutes } from '../../../routes/rpc.ts'
import { createHttpServer, listen } from '../../../src/net/http-server.ts'
import { MiB } from '../../../src/units.ts'
import type { Answer } from '../../../src/xenapi/rpc/answer.ts'
import { within } from '../../support/wait.ts'

const pieceLength = 64 * 1024

/** An answer of so many pieces; it says when it is released. */
const countedAnswer = (pieces: number) => {
  let made = 0
  const released = Promise.withResolvers<void>()
  const answer: Answer = {
    length: pieces * pieceLength,
    *pieces() {
      for (; made < pieces; made += 1) yield Buffer.alloc(pieceLength, made % 251)
    },
    release: () => released.resolve(),
  }
  return { answer, made: () => made, released: released.promise }
}

const serve = async (answer: Answer, stallLimit?: number) => {
  const protocol = async () => answer
  const routes = createRpcRoutes({
    jsonRpc: protocol,
    xmlRpc: protocol,
    ...(stallLimit !== undefined && { stallLimit }),
  })
  const app = new Hono<NodeEnvironment>()
  app.route('/', routes)
  const server = createHttpServer(createListener(app))
  onTestFinished(() => void server.close())
  return new URL(await listen(server, { host: '127.0.0.1', port: 0 }))
}

test.each(['/jsonrpc', '/'])(
  'a large answer has its length and all its bytes: %s',
  async (path) => {
    const { answer, released } = countedAnswer(100)
    const url = await serve(answer)
    const response = await fetch(new URL(path, url), { method: 'POST', body: 'x' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-length')).toBe(String(100 * pieceLength))
    expect(response.headers.get('transfer-encoding')).toBe(null)
    const bytes = new Uint8Array(await response.arrayBuffer())
    expect(bytes.length).toBe(100 * pieceLength)
    expect([...Array(100).keys()].every((at) => bytes[at * pieceLength] === at % 251)).toBe(true)
    await within('the answer to be released', released)
  },
)

/** Sends a call and reads nothing. */
const callWithoutReading = async (url: URL) => {
  const socket = connect(Number(url.port), url.hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write('POST /jsonrpc HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx')
  return socket
}

test('an answer that nobody reads is not made, and its connection is ended', async () => {
  const pieces = (256 * MiB) / pieceLength
  const { answer, made, released } = countedAnswer(pieces)
  const socket = await callWithoutReading(await serve(answer, 200))
  await within('the answer to be released', released)
  // What the system takes for the connection, and no more.
  expect(made()).toBeLessThan(pieces / 4)
  const closed = once(socket, 'close')
  socket.resume()
  await within('the connection to close', closed)
})

test('an answer whose client leaves is released', async () => {
  const pieces = (256 * MiB) / pieceLength
  const { answer, made, released } = countedAnswer(pieces)
  const socket = await callWithoutReading(await serve(answer))
  socket.destroy()
  await within('the answer to be released', released)
  expect(made()).toBeLessThan(pieces / 4)
})

test('a small answer is released, too', async () => {
  const { answer, released } = countedAnswer(1)
  const response = await fetch(await serve(answer), { method: 'POST', body: 'x' })
  expect((await response.arrayBuffer()).byteLength).toBe(pieceLength)
  await within('the answer to be released', released)
})
