// Who is asking: a session reference first, then a name and a password. Called for each call and
// each transfer.

import { createHmac, randomBytes } from 'node:crypto'
import type { Catalog } from '../catalog/catalog.ts'
import type { UserRow } from '../catalog/users.ts'
import { AppError } from '../errors.ts'

export interface Identity {
  readonly user: UserRow
  /** The secret of the session; absent where a name and a password were shown, for one request. */
  readonly sessionRef?: string
}

export interface Credentials {
  readonly sessionId?: string
  readonly basic?: { readonly user: string; readonly password: string }
}

/**
 * A session that is shown must be good, even beside a good password.
 * @throws AppError SESSION_INVALID; SESSION_AUTHENTICATION_FAILED, also where nothing was shown; TOO_BUSY
 */
export type Authenticate = (credentials: Credentials) => Promise<Identity>

/** How long a password that was right is not worked out again, in milliseconds. */
const REMEMBERED = 60_000

/** Passwords that are remembered at a time. */
const MAXIMUM_REMEMBERED = 256

export const createAuthenticate = (
  { sessions, users }: Pick<Catalog, 'sessions' | 'users'>,
  now: () => number = Date.now,
): Authenticate => {
  const remembered = new Map<string, { passwordHash: string; until: number }>()
  // A copy of the memory does not tell the passwords without guessing each with this key.
  const key = randomBytes(32)

  const verify = async (name: string, password: string): Promise<UserRow | undefined> => {
    const mark = createHmac('sha256', key)
      .update(JSON.stringify([name, password]))
      .digest('base64')
    const known = remembered.get(mark)
    if (known !== undefined && known.until > now()) {
      const user = await users.getByName(name)
      // A new password has a new hash, a removed user has none.
      if (user?.passwordHash === known.passwordHash) return user
    }
    remembered.delete(mark)
    const user = await users.verify(name, password)
    if (user === undefined) return undefined
    const [oldest] = remembered.keys()
    if (remembered.size >= MAXIMUM_REMEMBERED && oldest !== undefined) remembered.delete(oldest)
    remembered.set(mark, { passwordHash: user.passwordHash, until: now() + REMEMBERED })
    return user
  }

  return async ({ sessionId, basic }) => {
    if (sessionId !== undefined) {
      const session = await sessions.find(sessionId)
      const user = session && (await users.get(session.userUuid))
      if (user === undefined) throw new AppError('SESSION_INVALID', [])
      return { user, sessionRef: sessionId }
    }
    if (basic === undefined) {
      const message = 'Say who you are: by HTTP Basic, or with the session_id of a login'
      throw new AppError('SESSION_AUTHENTICATION_FAILED', [], { message })
    }
    const user = await verify(basic.user, basic.password)
    if (user === undefined) throw new AppError('SESSION_AUTHENTICATION_FAILED', [])
    return { user }
  }
}
