// Connections without credentials, on real sockets: which are closed, which never, and who can
// still come in.

import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readCertificate } from '../../../src/net/certificate.ts'
import { createConnections } from '../../../src/net/connections.ts'
import type { ConnectionLimits, SocketOrigin } from '../../../src/net/connections.ts'
import { placeFront } from '../../../src/net/front.ts'
import type { Server } from '../../../src/net/http-server.ts'
import { createHttpServer } from '../../../src/net/http-server.ts'
import { ensureSelfSigned } from '../../../src/net/self-signed.ts'
import { connectRaw } from '../../support/raw-client.ts'
import { createTestFolder } from '../../support/tools.ts'
import { within } from '../../support/wait.ts'

const limits: ConnectionLimits = { unknown: 5, unknownByNetwork: 3, byUser: 9 }

/** Requests to /known show credentials, those to /checking begin to. */
const start = async (secure = false, grace = 0) => {
  const logged: object[] = []
  let time = 0
  const connections = createConnections({
    ...limits,
    log: { warn: (fields) => void logged.push(fields) },
    now: () => time,
    grace,
  })
  const origins: SocketOrigin[] = []
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const origin = connections.originOf(incoming.socket, 'test')
    origins.push(origin)
    try {
      if (incoming.url === '/known') origin.known('root')
      if (incoming.url === '/backup') origin.known('backup')
      outgoing.end(`${incoming.url}\n`)
    } catch (error) {
      outgoing.end(`${String(error)}\n`)
    }
  }
  const tls = secure ? await certificate() : undefined
  const server = createHttpServer(listener, tls)
  placeFront(server, [], { headTimeout: 60_000, onError: () => {} })
  connections.watch(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  /** Returns when the server has the connection. */
  const open = async () => {
    const accepted = new Promise<void>((resolve) => server.once('connection', () => resolve()))
    const client = await connectRaw(port)
    await within('the server to accept', accepted)
    return client
  }
  const ask = async (client: Awaited<ReturnType<typeof open>>, path: string): Promise<void> => {
    client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await client.until(new RegExp(`${path}\n`))
  }
  return { port, open, ask, origins, logged, advance: (by: number) => (time += by) }
}

const certificate = async () => {
  const { files } = await ensureSelfSigned(await createTestFolder(), ['localhost'])
  return (await readCertificate(files)).options
}

describe('connections of one address', () => {
  test('one more than there may be closes the oldest, and the newest is served', async () => {
    const { open, ask, logged } = await start()
    const clients = [await open(), await open(), await open()]
    const newest = await open()
    expect(await clients[0]!.closed).toBe('')
    await ask(newest, '/health')
    await ask(clients[1]!, '/health')
    expect(logged).toEqual([{ closed: 1, address: '127.0.0.1', unknown: 5, unknownByNetwork: 3 }])
  })

  test('those that have shown credentials do not count and stay', async () => {
    const { open, ask, logged } = await start()
    // As of a fleet behind one address: each shows them soon after it has come.
    const fleet = []
    for (let count = 0; count < 8; count += 1) {
      const client = await open()
      await ask(client, '/known')
      fleet.push(client)
    }
    for (let count = 0; count < 4; count += 1) await open()
    for (const client of fleet) await ask(client, '/again')
    expect(logged).toMatchObject([{ closed: 1 }])
  })

  test('one whose password is being checked is not closed', async () => {
    const { open, ask, origins } = await start()
    const waiting = await open()
    await ask(waiting, '/checking')
    const done = origins[0]!.checking()
    const doneToo = origins[0]!.checking()
    for (let count = 0; count < 6; count += 1) await open()
    await ask(waiting, '/still')
    doneToo()
    for (let count = 0; count < 3; count += 1) await open()
    await ask(waiting, '/longer')
    done()
    // Its password was wrong: it counts again, as the newest.
    await open()
    await open()
    await ask(waiting, '/yet')
    await open()
    expect(await waiting.closed).toContain('/yet')
  })

  test('those whose password is being checked have a limit twice as wide, and the oldest goes', async () => {
    const { open, ask, origins, logged } = await start()
    const clients = []
    for (let count = 0; count < 6; count += 1) {
      const client = await open()
      await ask(client, '/checking')
      origins[count]!.checking()
      clients.push(client)
    }
    expect(logged).toEqual([])
    const newest = await open()
    expect(await clients[0]!.closed).toContain('/checking')
    await ask(clients[1]!, '/still')
    await ask(newest, '/health')
  })

  test('of one user have a limit: the newest is refused, other users come in, and one that ends leaves its place', async () => {
    const { open, ask } = await start()
    const fleet = []
    for (let count = 0; count < 9; count += 1) {
      const client = await open()
      await ask(client, '/known')
      await ask(client, '/known')
      fleet.push(client)
    }
    const newest = await open()
    newest.send('GET /known HTTP/1.1\r\nhost: x\r\n\r\n')
    expect(await newest.until(/which is the most/)).toContain('This user has 9 connections')
    await ask(await open(), '/backup')
    fleet[0]!.send('GET /end HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    await fleet[0]!.closed
    await ask(newest, '/known')
    for (const client of fleet.slice(1)) await ask(client, '/again')
  })

  test('a burst has time to show credentials before any of it is closed', async () => {
    const { open, ask, logged } = await start(false, 300)
    const burst = [await open(), await open(), await open(), await open(), await open()]
    expect(logged).toEqual([])
    await ask(burst[0]!, '/known')
    expect(await burst[1]!.closed).toBe('')
    for (const client of [burst[0]!, ...burst.slice(2)]) await ask(client, '/again')
    expect(logged).toMatchObject([{ closed: 1 }])
  })

  test('a burst that is too large for the wider limit loses its oldest at once', async () => {
    const { open, ask } = await start(false, 60_000)
    const burst = []
    for (let count = 0; count < 7; count += 1) burst.push(await open())
    expect(await burst[0]!.closed).toBe('')
    await ask(burst[1]!, '/again')
  })

  test('many that are closed leave one line a minute, with their number', async () => {
    const { open, logged, advance } = await start()
    for (let count = 0; count < 13; count += 1) await open()
    expect(logged).toMatchObject([{ closed: 1 }])
    advance(60_000)
    await open()
    expect(logged).toMatchObject([{ closed: 1 }, { closed: 10 }])
  })

  test('one that has ended by itself leaves its place', async () => {
    const { open, ask, logged } = await start()
    const clients = [await open(), await open(), await open()]
    await ask(clients[0]!, '/one')
    clients[2]!.send('GET /end HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    await clients[2]!.closed
    await open()
    await ask(clients[0]!, '/two')
    expect(logged).toEqual([])
  })
})

test('over TLS a connection that has ended leaves its place', async () => {
  const { port, logged } = await start(true)
  for (let count = 0; count < 10; count += 1) {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.once('secureConnect', () => socket.end())
    await within('the connection to end', ended)
  }
  expect(logged).toEqual([])
})

test('over TLS a handshake that is not finished counts, and credentials are those of what is inside', async () => {
  const { port, open, origins } = await start(true)
  const openTls = async () => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
    await within(
      'the handshake',
      new Promise<void>((resolve) => socket.once('secureConnect', () => resolve())),
    )
    return socket
  }
  const request = async (socket: Socket, path: string): Promise<void> => {
    const answered = new Promise<void>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        if (bytes.includes(`${path}\n`)) resolve()
      })
    })
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await within('the answer', answered)
  }
  const known = await openTls()
  await request(known, '/known')
  expect(origins[0]).toMatchObject({ address: '127.0.0.1', network: '127.0.0.1', via: 'test' })
  const handshakes = [await open(), await open(), await open()]
  const unknown = await openTls()
  expect(await handshakes[0]!.closed).toBe('')
  await request(unknown, '/health')
  for (let count = 0; count < 3; count += 1) await open()
  await within('the oldest to be closed', new Promise((resolve) => unknown.once('close', resolve)))
  await request(known, '/again')
})

describe('many addresses', () => {
  /** Connections from anywhere, as the server would tell of them. */
  const play = () => {
    const server = new EventEmitter()
    const connections = createConnections({ ...limits, grace: 0, log: { warn: () => {} } })
    connections.watch(server as unknown as Server)
    const destroyed: string[] = []
    const sockets = new Map<string, Socket>()
    let port = 1000
    const open = (address: string): string => {
      const name = `${address}#${(port += 1)}`
      const socket = Object.assign(new EventEmitter(), {
        remoteAddress: address,
        remotePort: port,
        localAddress: '10.0.0.1',
        localPort: 80,
        destroy() {
          destroyed.push(name)
          socket.emit('close')
        },
      })
      sockets.set(name, socket as unknown as Socket)
      server.emit('connection', socket)
      return name
    }
    const check = (name: string): void => {
      connections.originOf(sockets.get(name)!, 'test').checking()
    }
    return { open, check, destroyed }
  }

  test('where there are too many in all, the oldest of the address with the most goes', () => {
    const { open, destroyed } = play()
    const lonely = open('192.0.2.1')
    const first = open('192.0.2.2')
    open('192.0.2.2')
    open('192.0.2.2')
    open('192.0.2.3')
    expect(destroyed).toEqual([])
    open('192.0.2.4')
    expect(destroyed).toEqual([first])
    expect(destroyed).not.toContain(lonely)
  })

  test('of those whose password is being checked there is a limit in all, too', () => {
    const { open, check, destroyed } = play()
    const names = Array.from({ length: 10 }, (_, index) => {
      const name = open(`192.0.2.${index % 4}`)
      check(name)
      return name
    })
    expect(destroyed).toEqual([])
    check(open('192.0.2.9'))
    expect(destroyed).toEqual([names[0]])
  })

  test('the addresses of one /64 are one', () => {
    const { open, destroyed } = play()
    const [oldest] = ['2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8::4'].map(open)
    expect(destroyed).toEqual([oldest])
    open('2001:db8:0:1::1')
    expect(destroyed).toHaveLength(1)
  })
})
