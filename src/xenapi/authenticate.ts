// Who is asking: a session reference first, then a name and a password. Called for each call, each
// login and each transfer. A session, and a password that is remembered, never wait for others'
// passwords.

import type { Catalog } from '../catalog/catalog.ts'
import type { UserRow } from '../catalog/users/users.ts'
import { AppError } from '../errors.ts'
import type { LoginLog } from './login-log.ts'
import { createFailedLogins } from './login-log.ts'
import type { Origin } from './origin.ts'
import { ownOrigin } from './origin.ts'
import { createRememberedPasswords } from './remembered-passwords.ts'

export interface Identity {
  readonly user: UserRow
  /** The secret of the session; absent where a name and a password were shown, for one request. */
  readonly sessionRef?: string
  /** The move that the session is for, and for nothing else. */
  readonly moveUuid?: string
}

export interface Credentials {
  readonly sessionId?: string
  readonly basic?: { readonly user: string; readonly password: string }
}

/**
 * A session that is shown must be good, even beside a good password. A login that fails is in the
 * log.
 * @param origin told when its sender is known; default: the server itself
 * @throws AppError SESSION_INVALID; SESSION_AUTHENTICATION_FAILED, also where nothing was shown;
 *   TOO_BUSY
 */
export type Authenticate = (credentials: Credentials, origin?: Origin) => Promise<Identity>

interface AuthenticateOptions {
  readonly now?: () => number
  readonly log?: LoginLog
}

/** A password that is being checked. */
interface Check {
  readonly user: Promise<UserRow | undefined>
  /** The number of callers that wait for it. */
  sharers: number
}

export const createAuthenticate = (
  { sessions, users, incomingMoves }: Pick<Catalog, 'sessions' | 'users' | 'incomingMoves'>,
  { now = Date.now, log = { warn: () => {} } }: AuthenticateOptions = {},
): Authenticate => {
  const remembered = createRememberedPasswords(now)
  const failedLogins = createFailedLogins(log, now)
  /** Passwords that are being checked: many clients of one sender may show the same one at once. */
  const underWay = new Map<string, Check>()

  const verifyOnce = async (
    name: string,
    password: string,
    origin: Origin,
  ): Promise<UserRow | undefined> => {
    const mark = remembered.markOf(name, password)
    const passwordHash = remembered.find(mark)
    if (passwordHash !== undefined) {
      const user = await users.getByName(name)
      // A new password has a new hash, a removed user has none.
      if (user?.passwordHash === passwordHash) return user
      remembered.forget(mark)
    }
    const key = `${origin.network} ${mark}`
    const check = underWay.get(key) ?? { sharers: 0, user: verify(name, password, origin, key) }
    underWay.set(key, check)
    check.sharers += 1
    return check.user
  }

  /** Works the password out, for all who show it meanwhile: the log has one line for all. */
  const verify = async (
    user: string,
    password: string,
    origin: Origin,
    key: string,
  ): Promise<UserRow | undefined> => {
    const { address, via } = origin
    try {
      const found = await users.verify(user, password, origin)
      if (found !== undefined) {
        remembered.add(remembered.markOf(user, password), found.passwordHash)
        return found
      }
      const { sharers = 1 } = underWay.get(key) ?? {}
      failedLogins.failed({ user, address, via, attempts: sharers })
      return undefined
    } finally {
      underWay.delete(key)
    }
  }

  const login = async (name: string, password: string, origin: Origin): Promise<UserRow> => {
    const { address, via } = origin
    const done = origin.checking()
    try {
      const user = await verifyOnce(name, password, origin)
      if (user !== undefined) return user
      throw new AppError('SESSION_AUTHENTICATION_FAILED', [])
    } catch (error) {
      const isRefused = error instanceof AppError && error.code === 'TOO_BUSY'
      if (isRefused) failedLogins.refused({ address, via })
      throw error
    } finally {
      done()
    }
  }

  const findSession = async (sessionRef: string): Promise<Identity | undefined> => {
    const session = await sessions.find(sessionRef)
    const user = session && (await users.get(session.userUuid))
    return user && { user, sessionRef }
  }

  /** Acts in the name of whoever let the VM in. */
  const findMove = async (secret: string): Promise<Identity | undefined> => {
    const move = await incomingMoves.find(secret)
    // One that has ended is only asked about, by calls that are open to whoever shows the secret.
    if (move?.state !== 'open' || move.userUuid === null) return undefined
    const user = await users.get(move.userUuid)
    return user && { user, moveUuid: move.uuid }
  }

  return async ({ sessionId, basic }, origin = ownOrigin) => {
    if (sessionId !== undefined) {
      const identity = (await findSession(sessionId)) ?? (await findMove(sessionId))
      if (identity === undefined) throw new AppError('SESSION_INVALID', [])
      origin.known(identity.user.uuid)
      return identity
    }
    if (basic === undefined) {
      const message = 'Say who you are: by HTTP Basic, or with the session_id of a login'
      throw new AppError('SESSION_AUTHENTICATION_FAILED', [], { message })
    }
    const user = await login(basic.user, basic.password, origin)
    origin.known(user.uuid)
    return { user }
  }
}
