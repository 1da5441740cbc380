// How many connections there may be: of senders that have shown no credentials by network and in
// all, of others by user; and which must go. listeners.ts tells of each connection, and whoever
// authenticates tells what its sender has shown.

import type { Server as NetServer, Socket } from 'node:net'
import { Server as HttpsServer } from 'node:https'
import { AppError } from '../errors.ts'
import { createConnectionGroups } from './connection-groups.ts'
import type { Server } from './http-server.ts'
import { networkOf } from './network.ts'

/** Where a request comes from. Authentication reports to it which user a connection belongs to. */
export interface SocketOrigin {
  readonly address: string
  readonly network: string
  readonly connection: string
  readonly via: string
  /**
   * While a password is checked only the wider limit counts: the sender has shown something, and
   * waits for us.
   */
  checking(): () => void
  /**
   * From now on the connection counts for the user whose credentials it showed first.
   * @throws AppError TOO_BUSY where the user has too many: those that are open may be in the middle
   *   of a transfer
   */
  known(user: string): void
}

export interface Connections {
  /**
   * Counts the connections of the server from now on. To be called after all other listeners are
   * placed.
   */
  watch(server: Server): void
  /** @param via how the sender speaks to us, for the log */
  originOf(socket: Socket, via: string): SocketOrigin
}

export interface ConnectionLimits {
  /** Connections without credentials, in all. */
  readonly unknown: number
  /** Of these, from one address; a /64 of IPv6 is one. */
  readonly unknownByNetwork: number
  /** Connections of one user. */
  readonly byUser: number
}

/**
 * The wider limit, as a multiple: it also counts connections that are new or whose password is
 * being checked.
 */
const CHECKED_TOO = 2

/**
 * Milliseconds in which a new connection counts for the wider limit only. A fleet that comes in one
 * burst is accepted faster than its requests are read.
 */
const GRACE = 2000

/**
 * Of strangers far below the 1024 descriptors that many systems give to a process; transfers need
 * some, too.
 */
const defaultLimits: ConnectionLimits = { unknown: 512, unknownByNetwork: 256, byUser: 1024 }

/** Closed connections are logged at most once in this many milliseconds. */
const SILENCE = 60_000

interface Options extends Partial<ConnectionLimits> {
  readonly log: { warn(fields: object, message: string): void }
  readonly now?: () => number
  /** Milliseconds until a connection counts as one that has shown nothing. */
  readonly grace?: number
}

interface Connection {
  readonly name: string
  readonly address: string
  readonly network: string
  /** That of TLS as soon as there is one. */
  socket: Socket
  /** Passwords of it that are being checked. */
  checks: number
  isNew: boolean
  /** The user whose credentials it showed first. */
  user?: string
}

export const createConnections = ({
  unknown = defaultLimits.unknown,
  unknownByNetwork = defaultLimits.unknownByNetwork,
  byUser = defaultLimits.byUser,
  log,
  now = Date.now,
  grace = GRACE,
}: Options): Connections => {
  /** Connections that have shown no credentials, or only wrong passwords. */
  const silent = createConnectionGroups<Connection>({ all: unknown, group: unknownByNetwork })
  /** The silent ones, the new ones, and those whose password is being checked. */
  const anonymous = createConnectionGroups<Connection>({
    all: CHECKED_TOO * unknown,
    group: CHECKED_TOO * unknownByNetwork,
  })
  const ofUsers = createConnectionGroups<Connection>({ all: Infinity, group: byUser })
  /** Open connections by name, to find the one that a TLS socket belongs to. */
  const byName = new Map<string, Connection>()
  const bySocket = new WeakMap<Socket, Connection>()
  let closed = 0
  let silentUntil = 0

  const forget = (connection: Connection): void => {
    const { network, user } = connection
    silent.delete(network, connection)
    anonymous.delete(network, connection)
    if (user !== undefined) ofUsers.delete(user, connection)
  }
  const close = (connection: Connection | undefined): void => {
    if (connection === undefined) return
    forget(connection)
    connection.socket.destroy()
    closed += 1
    if (now() < silentUntil) return
    const { address } = connection
    log.warn({ closed, address, unknown, unknownByNetwork }, 'closed connections without a login')
    closed = 0
    silentUntil = now() + SILENCE
  }
  const count = (connection: Connection): void => {
    const { name, network, checks, isNew, user } = connection
    if (user !== undefined || byName.get(name) !== connection) return
    anonymous.add(network, connection)
    if (checks === 0 && !isNew) silent.add(network, connection)
    else silent.delete(network, connection)
    close(silent.tooMany(network))
    close(anonymous.tooMany(network))
  }
  const know = (connection: Connection, user: string): void => {
    if (connection.user !== undefined || byName.get(connection.name) !== connection) return
    if (ofUsers.sizeOf(user) >= byUser) {
      const message = `This user has ${byUser} connections, which is the most; close one, or use one again`
      throw new AppError('TOO_BUSY', [], { message })
    }
    forget(connection)
    connection.user = user
    ofUsers.add(user, connection)
  }
  const open = (socket: Socket): void => {
    const name = nameOf(socket)
    const { remoteAddress: address } = socket
    // It was closed before it could be counted.
    if (name === undefined || address === undefined) return
    const network = networkOf(address)
    const connection: Connection = { name, address, network, socket, checks: 0, isNew: grace > 0 }
    byName.set(name, connection)
    bySocket.set(socket, connection)
    const graceTimer = setTimeout(() => {
      connection.isNew = false
      count(connection)
    }, grace).unref()
    socket.once('close', () => {
      clearTimeout(graceTimer)
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
      // Before all other listeners: surplus connections are closed before anything else is done.
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
          count(connection)
          return () => {
            connection.checks -= 1
            count(connection)
          }
        },
        known: (user) => know(connection, user),
      }
    },
  }
}

/** Both ends: unique among open connections. */
const nameOf = (socket: Socket): string | undefined => {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
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
