// The connections whose senders have shown no credentials: how many there may be, by network and in all, and which
// must go. listeners.ts tells of each connection, and whoever authenticates tells what its sender has shown.

import type { Server as NetServer, Socket } from 'node:net'
import { Server as HttpsServer } from 'node:https'
import type { Server } from './http-server.ts'
import { networkOf } from './network.ts'

/** Where a request comes from; authentication is told by it who is behind a connection. */
export interface SocketOrigin {
  readonly address: string
  readonly network: string
  readonly connection: string
  readonly via: string
  /** While a password is checked the connection is not counted: it has shown something, and waits for us. */
  checking(): () => void
  /** From now on the connection is not counted. */
  known(): void
}

export interface Connections {
  /** Counts the connections of the server from now on. To be called after all other listeners are placed. */
  watch(server: Server): void
  /** @param via how the sender speaks to us, for the log */
  originOf(socket: Socket, via: string): SocketOrigin
}

export interface ConnectionLimits {
  /** Connections without credentials, in all. */
  readonly unknown: number
  /** Of these, from one address; a /64 of IPv6 is one. */
  readonly unknownByNetwork: number
}

/** Far below the 1024 descriptors that many systems give to a process; transfers need some, too. */
export const defaultLimits: ConnectionLimits = { unknown: 512, unknownByNetwork: 256 }

/** What is told of those that were closed, once in this many milliseconds. */
const SILENCE = 60_000

interface Options extends Partial<ConnectionLimits> {
  readonly log: { warn(fields: object, message: string): void }
  readonly now?: () => number
}

interface Connection {
  readonly name: string
  readonly address: string
  readonly network: string
  /** That of TLS as soon as there is one. */
  socket: Socket
  /** Passwords of it that are being checked. */
  checks: number
  isKnown: boolean
}

export const createConnections = ({
  unknown = defaultLimits.unknown,
  unknownByNetwork = defaultLimits.unknownByNetwork,
  log,
  now = Date.now,
}: Options): Connections => {
  /** Those that count, by network; the oldest first. */
  const counted = new Map<string, Set<Connection>>()
  let total = 0
  /** Open ones by their names, for what TLS makes of them. */
  const byName = new Map<string, Connection>()
  const bySocket = new WeakMap<Socket, Connection>()
  let closed = 0
  let silentUntil = 0

  const forget = (connection: Connection): void => {
    const ofNetwork = counted.get(connection.network)
    if (ofNetwork?.delete(connection) !== true) return
    total -= 1
    if (ofNetwork.size === 0) counted.delete(connection.network)
  }
  const closeOldest = (ofNetwork: ReadonlySet<Connection>): void => {
    const [oldest] = ofNetwork
    if (oldest === undefined) return
    forget(oldest)
    oldest.socket.destroy()
    closed += 1
    if (now() < silentUntil) return
    const { address } = oldest
    log.warn({ closed, address, unknown, unknownByNetwork }, 'closed connections without a login')
    closed = 0
    silentUntil = now() + SILENCE
  }
  const count = (connection: Connection): void => {
    if (connection.isKnown || connection.checks > 0 || !byName.has(connection.name)) return
    const ofNetwork = counted.get(connection.network) ?? new Set()
    counted.set(connection.network, ofNetwork.add(connection))
    total += 1
    if (ofNetwork.size > unknownByNetwork) closeOldest(ofNetwork)
    else if (total > unknown) closeOldest(largest(counted.values()))
  }
  const open = (socket: Socket): void => {
    const name = nameOf(socket)
    const { remoteAddress: address } = socket
    // It has gone before anybody could look at it.
    if (name === undefined || address === undefined) return
    const network = networkOf(address)
    const connection = { name, address, network, socket, checks: 0, isKnown: false }
    byName.set(name, connection)
    bySocket.set(socket, connection)
    socket.once('close', () => {
      forget(connection)
      if (byName.get(name) === connection) byName.delete(name)
    })
    count(connection)
  }
  /** TLS speaks on a socket of its own, with the same two ends. */
  const secure = (socket: Socket): void => {
    const connection = byName.get(nameOf(socket) ?? '')
    if (connection === undefined) return
    connection.socket = socket
    bySocket.set(socket, connection)
  }
  return {
    watch(server) {
      // First of all listeners: what comes too much goes before anything is made of what is new.
      ;(server as NetServer).prependListener('connection', open)
      if (server instanceof HttpsServer) server.prependListener('secureConnection', secure)
    },
    originOf(socket, via) {
      const connection = bySocket.get(socket)
      if (connection === undefined) return unknownOrigin(via)
      const { address, network, name } = connection
      return {
        address,
        network,
        connection: name,
        via,
        checking() {
          connection.checks += 1
          forget(connection)
          return () => {
            connection.checks -= 1
            count(connection)
          }
        },
        known() {
          connection.isKnown = true
          forget(connection)
        },
      }
    },
  }
}

/** Both ends, which no other open connection has. */
const nameOf = (socket: Socket): string | undefined => {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

const largest = (sets: Iterable<ReadonlySet<Connection>>): ReadonlySet<Connection> => {
  let found: ReadonlySet<Connection> = new Set()
  for (const set of sets) if (set.size > found.size) found = set
  return found
}

/** Of a connection that had ended before it was counted. */
const unknownOrigin = (via: string): SocketOrigin => ({
  address: '',
  network: '',
  connection: '',
  via,
  checking: () => () => {},
  known: () => {},
})
