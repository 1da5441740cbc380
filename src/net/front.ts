// The socket front: looks at the first bytes of each connection, takes for itself those that
// node:http cannot serve, and hands on all others untouched. server.ts places it before the HTTP
// server.

import { Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Server } from './http-server.ts'
import type { RequestHead } from './request-head.ts'
import { headLength, maximumHead, parseHead } from './request-head.ts'

/** Connections that are answered without node:http. */
export interface RawRoute {
  readonly method: string
  /** Without a query. */
  readonly path: string
  /** False: node:http shall have the connection after all. */
  takes(head: RequestHead): boolean
  /**
   * Answers and ends the connection. The bytes after the head are still to be read from `socket`,
   * which is destroyed when the promise has settled and what was written has left.
   */
  handle(head: RequestHead, socket: Socket): Promise<void>
}

interface FrontOptions {
  /** How long a client may take for the head, in milliseconds. */
  readonly headTimeout: number
  /** Told of what a route threw: always a mistake of ours. */
  readonly onError: (error: unknown) => void
}

export interface Front {
  /** The number of connections that the routes are answering. */
  readonly taken: number
  /** Destroys the connections whose head is still being read. For the beginning of a stop. */
  closeWaiting(): void
  /** Destroys all connections that node:http does not have. */
  closeAll(): void
}

/**
 * Puts the front between the server's sockets and its HTTP parser; over TLS it sees what is inside.
 * Only the first request of a connection passes here: a later one is always node's.
 */
export const placeFront = (
  server: Server,
  routes: readonly RawRoute[],
  { headTimeout, onError }: FrontOptions,
): Front => {
  const event = server instanceof HttpsServer ? 'secureConnection' : 'connection'
  const parsers = server.listeners(event)
  server.removeAllListeners(event)
  const waiting = new Set<Socket>()
  const taken = new Set<Socket>()

  const handOn = (socket: Socket): void => {
    for (const parser of parsers) (parser as (socket: Socket) => void).call(server, socket)
  }
  const take = (route: RawRoute, head: RequestHead, socket: Socket): void => {
    taken.add(socket)
    // A broken connection shows where it is read or written.
    socket.on('error', () => {})
    socket.once('close', () => taken.delete(socket))
    route
      .handle(head, socket)
      .catch(onError)
      .finally(() => socket.destroySoon())
  }
  const choose = (bytes: Buffer): Choice => chooseRoute(routes, bytes)

  server.on(event, (socket: Socket) => {
    waiting.add(socket)
    readFirstBytes(socket, headTimeout, choose, (choice) => {
      waiting.delete(socket)
      if (choice === 'node') handOn(socket)
      else if (choice !== 'gone') take(choice.route, choice.head, socket)
    })
  })

  const destroyAll = (sockets: Set<Socket>): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    get taken() {
      return taken.size
    },
    closeWaiting: () => destroyAll(waiting),
    closeAll() {
      destroyAll(waiting)
      destroyAll(taken)
    },
  }
}

interface Taken {
  readonly route: RawRoute
  readonly head: RequestHead
}

type Choice = 'more' | 'node' | Taken

/** Whose connection it is, by the bytes that have come; most are known by the first few. */
const chooseRoute = (routes: readonly RawRoute[], bytes: Buffer): Choice => {
  const candidates = routes.filter(({ method, path }) => {
    const start = `${method} ${path}`
    const length = Math.min(start.length, bytes.length)
    return bytes.toString('latin1', 0, length) === start.slice(0, length)
  })
  if (candidates.length === 0) return 'node'
  const length = headLength(bytes)
  // A head without carriage returns never ends; node says what is wrong with it.
  if (length === undefined) {
    return bytes.length > maximumHead || bytes.includes('\n\n') ? 'node' : 'more'
  }
  const head = length > maximumHead ? undefined : parseHead(bytes.subarray(0, length))
  if (head === undefined) return 'node'
  const path = head.url.replace(/\?.*$/s, '').replace(/(?<=.)\/$/, '')
  const route = candidates.find((candidate) => candidate.path === path && candidate.takes(head))
  return route === undefined ? 'node' : { route, head }
}

/**
 * Reads until `choose` knows; the bytes go back into the socket, without the head where it was
 * taken.
 * @param onChoice called once; `gone`: the socket has closed or was too slow, nothing is left to do
 */
const readFirstBytes = (
  socket: Socket,
  headTimeout: number,
  choose: (bytes: Buffer) => Choice,
  onChoice: (choice: Exclude<Choice, 'more'> | 'gone') => void,
): void => {
  let bytes: Buffer = Buffer.alloc(0)
  const settle = (choice: Exclude<Choice, 'more'> | 'gone'): void => {
    clearTimeout(timer)
    socket.off('readable', read)
    socket.off('end', leave)
    socket.off('close', leave)
    if (choice === 'gone') {
      socket.destroy()
    } else {
      const rest = bytes.subarray(choice === 'node' ? 0 : headLength(bytes))
      if (rest.length > 0) socket.unshift(rest)
      socket.off('error', ignore)
    }
    onChoice(choice)
  }
  const leave = (): void => settle('gone')
  // `close` follows; there is nobody else to report it to.
  const ignore = (): void => {}
  const read = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const choice = choose(bytes)
    if (choice !== 'more') settle(choice)
  }
  const timer = setTimeout(() => {
    socket.write(
      'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n',
      leave,
    )
  }, headTimeout)
  socket.on('readable', read)
  socket.once('end', leave)
  socket.once('close', leave)
  socket.on('error', ignore)
}
