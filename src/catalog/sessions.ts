// Sessions. The reference is the secret that a client shows; the catalog keeps only its hash, so
// that nobody who reads the file can act in another's name.

import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { Database } from './database.ts'
import { handleInvalid, toRef } from './refs.ts'
import type { SessionTable } from './schema.ts'

export type SessionRow = Readonly<Omit<SessionTable, 'refHash'>>

const HOUR = 3_600_000

/** A session that nobody uses for so long is over, in milliseconds. */
const MAXIMUM_IDLE = 24 * HOUR

/** How exactly the last use is known, in milliseconds: a write a call would be too much. */
const TOUCH_INTERVAL = 60_000

export interface Sessions {
  /** @throws AppError HANDLE_INVALID for an unknown user */
  create(session: NewSession): Promise<SessionRow & { readonly ref: string }>

  /** The session of that reference, used now; undefined for any other text and after 24 idle hours. */
  find(ref: string): Promise<SessionRow | undefined>

  /** Harmless for an unknown one. */
  destroy(ref: string): Promise<void>

  /** Forgets those that are over; their number. */
  expire(): Promise<number>
}

export interface NewSession {
  readonly userUuid: string
  /** What the client calls itself. */
  readonly originator: string
}

export const createSessions = (database: Database, now: () => Date): Sessions => {
  const { db } = database
  const oldestUse = (): Date => new Date(now().getTime() - MAXIMUM_IDLE)
  return {
    create: ({ userUuid, originator }) =>
      database.transaction(async (db) => {
        const user = await db
          .selectFrom('users')
          .select('uuid')
          .where('uuid', '=', userUuid)
          .executeTakeFirst()
        if (user === undefined) throw handleInvalid('user', userUuid)
        const ref = randomRef()
        const time = now()
        const session = {
          uuid: randomUUID(),
          userUuid,
          originator,
          createdAt: time,
          lastActiveAt: time,
        }
        await db
          .insertInto('sessions')
          .values({ ...session, refHash: hashRef(ref) })
          .execute()
        return { ...session, ref }
      }),
    async find(ref) {
      const session = await db
        .selectFrom('sessions')
        .select(['uuid', 'userUuid', 'originator', 'createdAt', 'lastActiveAt'])
        .where('refHash', '=', hashRef(ref))
        .where('lastActiveAt', '>', oldestUse())
        .executeTakeFirst()
      if (session === undefined) return undefined
      const lastActiveAt = now()
      if (lastActiveAt.getTime() - session.lastActiveAt.getTime() < TOUCH_INTERVAL) return session
      await database.transactionWithoutSync((db) =>
        db.updateTable('sessions').set({ lastActiveAt }).where('uuid', '=', session.uuid).execute(),
      )
      return { ...session, lastActiveAt }
    },
    async destroy(ref) {
      await db.deleteFrom('sessions').where('refHash', '=', hashRef(ref)).execute()
    },
    async expire() {
      const { numDeletedRows } = await db
        .deleteFrom('sessions')
        .where('lastActiveAt', '<=', oldestUse())
        .executeTakeFirst()
      return Number(numDeletedRows)
    },
  }
}

/** 128 random bits, written like a uuid. */
const randomRef = (): string => {
  const digits = randomBytes(16).toString('hex')
  return toRef(digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'))
}

/** A plain hash is enough: nobody guesses 128 random bits. */
const hashRef = (ref: string): string => createHash('sha256').update(ref).digest('base64')
