// Sessions of logins that came while the catalog's file could not be written. They end with the
// process, unless they are written before, and with a new password of their user. sessions.ts calls
// it.

import type { SessionTable } from '../schema.ts'

/** Of one user, and of all; the one that was not used for the longest time gives way. */
const MAXIMUM_OF_USER = 100
const MAXIMUM = 1000

interface UnwrittenSession {
  readonly row: SessionTable
  /** Of the user, at the login. */
  readonly passwordHash: string
}

interface UnwrittenSessions {
  get(refHash: string): UnwrittenSession | undefined

  keep(row: SessionTable, passwordHash: string): void

  /** @returns whether it was here */
  delete(refHash: string): boolean

  /** Forgets those that were last used before; their number. */
  expire(oldestUse: Date): number
}

export const createUnwrittenSessions = (): UnwrittenSessions => {
  /** In the order of their last use. */
  const sessions = new Map<string, UnwrittenSession>()
  const makeRoom = (userUuid: string): void => {
    const own = [...sessions].filter(([, { row }]) => row.userUuid === userUuid)
    const [oldest] = own.length >= MAXIMUM_OF_USER ? own : sessions
    if (own.length >= MAXIMUM_OF_USER || sessions.size >= MAXIMUM) sessions.delete(oldest![0])
  }
  return {
    get: (refHash) => sessions.get(refHash),
    keep(row, passwordHash) {
      sessions.delete(row.refHash)
      makeRoom(row.userUuid)
      sessions.set(row.refHash, { row, passwordHash })
    },
    delete: (refHash) => sessions.delete(refHash),
    expire(oldestUse) {
      const over = [...sessions].filter(([, { row }]) => row.lastActiveAt <= oldestUse)
      for (const [refHash] of over) sessions.delete(refHash)
      return over.length
    },
  }
}
