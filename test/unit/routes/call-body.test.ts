// Bodies of calls that come slowly or not to their end, on real sockets.

import { Hono } from 'hono'
import type { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createListener } from '../../../routes/app.ts'
import type { BodyRoom, BodyRooms } from '../../../routes/body-room.ts'
import { createBodyRooms } from '../../../routes/body-room.ts'
import type { NodeEnvironment } from '../../../routes/environment.ts'
import { createRpcRoutes } from '../../../routes/rpc.ts'
import type { BodyPace } from '../../../src/net/body-pace.ts'
import { createHttpServer, listen } from '../../../src/net/http-server.ts'
import type { Answer } from '../../../src/xenapi/rpc/answer.ts'
import type { Origin } from '../../../src/xenapi/origin.ts'
import { ownOrigin } from '../../../src/xenapi/origin.ts'
import { answerOf } from '../../support/answers.ts'
import { connectRaw } from '../../support/raw-client.ts'
import { eventually } from '../../support/wait.ts'

const paths = ['/jsonrpc', '/', '/RPC2', '/xmlrpc']

/** Answers every call with its text and where it came from. */
const start = async (pace: BodyPace, rooms?: BodyRooms) => {
  const answered: string[] = []
  const answer = async (text: string, _signal?: AbortSignal, origin?: Origin): Promise<Answer> => {
    answered.push(text)
    return answerOf(`${origin?.address} ${origin?.via} ${text.length}`)
  }
  const app = new Hono<NodeEnvironment>()
  /** By the ports of the clients. */
  const networks = new Map<number | undefined, string>()
  const originOf = ({ remoteAddress = '', remotePort }: Socket, via: string): Origin => ({
    ...ownOrigin,
    address: remoteAddress,
    network: networks.get(remotePort) ?? remoteAddress,
    via,
  })
  app.route(
    '/',
    createRpcRoutes({ jsonRpc: answer, xmlRpc: answer, pace, originOf, ...(rooms && { rooms }) }),
  )
  const server = createHttpServer(createListener(app))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = await listen(server, { host: '127.0.0.1', port: 0 })
  /** As if it came from that network. */
  const connect = async (network?: string) => {
    const client = await connectRaw(Number(new URL(url).port))
    if (network !== undefined) networks.set(client.socket.localPort, network)
    return client
  }
  return { answered, connect }
}

const head = (path: string, more: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\n${more}\r\n\r\n`

/** Nothing that has not come at once comes in time. */
const impatient: BodyPace = { grace: 50, rate: 1e9 }

describe.each(paths)('a body on %s', (path) => {
  test.each([
    ['of which nothing comes', 'content-length: 100', ''],
    ['of which a byte comes', 'content-length: 100', 'x'],
    ['of which a chunk comes', 'transfer-encoding: chunked', '1\r\nx\r\n'],
  ])('%s is closed with 408', async (_, header, begun) => {
    const { answered, connect } = await start(impatient)
    const client = await connect()
    client.send(head(path, header) + begun)
    const shown = await client.closed
    expect(shown).toMatch(/^HTTP\/1\.1 408 /)
    expect(shown).toContain(`the body came too slowly: ${begun === '' ? 0 : 1} bytes have come`)
    expect(shown).toMatch(/^connection: close\r$/im)
    expect(answered).toEqual([])
  })

  test('in pieces, even of one byte, is answered, with where it came from', async () => {
    const { answered, connect } = await start({ grace: 60_000, rate: 1 })
    const client = await connect()
    client.socket.setNoDelay(true)
    client.send(head(path, 'connection: close\r\ntransfer-encoding: chunked'))
    for (const byte of 'body') client.send(`1\r\n${byte}\r\n`)
    client.send('0\r\n\r\n')
    const via = path === '/jsonrpc' ? 'JSON-RPC' : 'XML-RPC'
    expect(await client.closed).toContain(`127.0.0.1 ${via} 4`)
    expect(answered).toEqual(['body'])
  })

  test('that ends with its connection is no call', async () => {
    const { answered, connect } = await start({ grace: 60_000, rate: 1 })
    const client = await connect()
    client.send(`${head(path, 'content-length: 100')}x`)
    client.socket.end()
    await client.closed
    expect(answered).toEqual([])
  })

  test('that is longer than 1 MiB is refused without being read', async () => {
    const { connect } = await start({ grace: 60_000, rate: 1 })
    const client = await connect()
    client.send(head(path, 'content-length: 1048577'))
    expect(await client.until(/1048576 bytes/)).toMatch(/^HTTP\/1\.1 413 /)
  })
})

describe('long bodies at a time', () => {
  const KiB = 1024
  const post = (length: number): string => head('/', `content-length: ${length}`)

  /** A room, and how much of it is taken. */
  const createWatchedRoom = (maximum?: number, maximumOfNetwork?: number) => {
    const rooms = createBodyRooms(maximum, maximumOfNetwork)
    const watched = {
      held: 0,
      most: 0,
      of(network: string): BodyRoom {
        const room = rooms.of(network)
        return {
          take(bytes) {
            const hasRoom = room.take(bytes)
            if (hasRoom) watched.held += bytes
            watched.most = Math.max(watched.most, watched.held)
            return hasRoom
          },
          give(bytes) {
            room.give(bytes)
            watched.held -= bytes
          },
        }
      },
    }
    return watched
  }

  test('have a bound together; short ones always come in, and what has been answered leaves room', async () => {
    const room = createWatchedRoom(300 * KiB, 300 * KiB)
    const { connect } = await start({ grace: 60_000, rate: 1 }, room)
    const first = await connect()
    first.send(post(200 * KiB) + 'x'.repeat(150 * KiB))
    await eventually('the first to come', async () => room.held >= 150 * KiB || undefined)
    const second = await connect()
    second.send(post(10) + 'x'.repeat(10))
    expect(await second.until(/XML-RPC 10/)).toMatch(/ 200 /)
    const third = await connect()
    third.send(post(200 * KiB) + 'x'.repeat(200 * KiB))
    expect(await third.until(/try again later/)).toMatch(/^HTTP\/1\.1 503 .*retry-after: 10/is)
    first.send('x'.repeat(50 * KiB))
    await first.until(/XML-RPC 204800/)
    const fourth = await connect()
    fourth.send(post(200 * KiB) + 'x'.repeat(200 * KiB))
    await fourth.until(/XML-RPC 204800/)
    expect(room.held).toBe(0)
  })

  test('of one address leave room for those of others, whose calls are answered', async () => {
    const room = createWatchedRoom(1600 * KiB)
    const { connect } = await start({ grace: 60_000, rate: 1 }, room)
    const slow = await connect()
    slow.send(post(200 * KiB) + 'x'.repeat(150 * KiB))
    await eventually('the slow one to come', async () => room.held >= 150 * KiB || undefined)
    const second = await connect()
    second.send(post(300 * KiB) + 'x'.repeat(300 * KiB))
    expect(await second.until(/try again later/)).toMatch(/^HTTP\/1\.1 503 /)
    const other = await connect('192.0.2.1')
    other.send(post(200 * KiB) + 'x'.repeat(200 * KiB))
    expect(await other.until(/XML-RPC 204800/)).toMatch(/ 200 /)
    slow.send('x'.repeat(50 * KiB))
    await slow.until(/XML-RPC 204800/)
    second.socket.destroy()
    expect(room.held).toBe(0)
  })

  test('that come too slowly leave their room', async () => {
    const room = createWatchedRoom()
    const { connect } = await start(impatient, room)
    const slow = await connect()
    slow.send(post(200 * KiB) + 'x'.repeat(100 * KiB))
    expect(await slow.closed).toMatch(/^HTTP\/1\.1 408 /)
    expect(room.most).toBeGreaterThan(64 * KiB)
    expect(room.held).toBe(0)
  })
})
