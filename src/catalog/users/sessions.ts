// Sessions. The reference is the secret that a client shows; the catalog keeps only its hash, so
// that nobody who reads the file can act in another's name. While the file cannot be written, new
// ones are in memory.

import { randomUUID } from 'node:crypto'
import { sessionLimits } from '../bounds.ts'
import type { Database } from '../database.ts'
import type { Queries, Statements } from '../transaction.ts'
import { handleInvalid } from '../../object-errors.ts'
import type { SessionTable } from '../schema.ts'
import { hashSecret, randomSecret } from './secrets.ts'
import { createUnwrittenSessions } from './unwritten-sessions.ts'
import { isUnwritable } from '../unwritable.ts'

export type SessionRow = Readonly<Omit<SessionTable, 'refHash'>>

const HOUR = 3_600_000

/** An idle session ends after this time, in milliseconds. */
const MAXIMUM_IDLE = 24 * HOUR

/** How exactly the last use is known, in milliseconds: a write a call would be too much. */
const TOUCH_INTERVAL = 60_000

export interface Sessions {
  /**
   * Where the user has too many, or all users together, the one that was not used for the longest
   * time ends.
   * @throws AppError HANDLE_INVALID for an unknown user
   */
  create(session: NewSession): Promise<SessionRow & { readonly ref: string }>

  /**
   * The session of that reference, used now; undefined for any other text and after 24 idle hours.
   */
  find(ref: string): Promise<SessionRow | undefined>

  /** Whether that is the reference of a session, which does not count as used by this. */
  isLive(ref: string): Promise<boolean>

  /** Harmless for an unknown one. */
  destroy(ref: string): Promise<void>

  /** Forgets those that are over; their number. */
  expire(): Promise<number>
}

interface NewSession {
  readonly userUuid: string
  /** What the client calls itself. */
  readonly originator: string
}

const columns = ['uuid', 'userUuid', 'originator', 'createdAt', 'lastActiveAt'] as const

export const createSessions = (database: Database, now: () => Date): Sessions => {
  const { db } = database
  const unwritten = createUnwrittenSessions()
  const oldestUse = (): Date => new Date(now().getTime() - MAXIMUM_IDLE)

  const insert = async (row: SessionTable): Promise<void> => {
    const user = await requireUser(db, row.userUuid)
    try {
      await database.transaction(async ({ db }) => {
        await requireUser(db, row.userUuid)
        await makeRoom(db, row.userUuid)
        await db.insertInto('sessions').values(row).execute()
      })
      unwritten.delete(row.refHash)
    } catch (error) {
      if (!isUnwritable(error)) throw error
      unwritten.keep(row, user.passwordHash)
    }
  }

  /** One that is only in memory, if its user still has the password that it was made with. */
  const findUnwritten = async (refHash: string): Promise<SessionTable | undefined> => {
    const kept = unwritten.get(refHash)
    if (kept === undefined || kept.row.lastActiveAt <= oldestUse()) return undefined
    const user = await findUser(db, kept.row.userUuid)
    if (user?.passwordHash === kept.passwordHash) return kept.row
    unwritten.delete(refHash)
    return undefined
  }

  const touch = async (uuid: string, lastActiveAt: Date): Promise<void> => {
    try {
      await database.transactionWithoutSync(({ db }) =>
        db.updateTable('sessions').set({ lastActiveAt }).where('uuid', '=', uuid).execute(),
      )
    } catch (error) {
      // Only news: the call must not fail for it.
      if (!isUnwritable(error)) throw error
    }
  }

  const findRow = async (refHash: string) => {
    const written = await db
      .selectFrom('sessions')
      .select(columns)
      .where('refHash', '=', refHash)
      .where('lastActiveAt', '>', oldestUse())
      .executeTakeFirst()
    const kept = written === undefined ? await findUnwritten(refHash) : undefined
    return { written, kept }
  }

  return {
    async create({ userUuid, originator }) {
      const ref = randomSecret()
      const time = now()
      const session = {
        uuid: randomUUID(),
        userUuid,
        originator,
        createdAt: time,
        lastActiveAt: time,
      }
      await insert({ ...session, refHash: hashSecret(ref) })
      return { ...session, ref }
    },
    async find(ref) {
      const { written, kept } = await findRow(hashSecret(ref))
      const session = written ?? (kept && withoutHash(kept))
      if (session === undefined) return undefined
      const lastActiveAt = now()
      if (lastActiveAt.getTime() - session.lastActiveAt.getTime() < TOUCH_INTERVAL) return session
      if (kept === undefined) await touch(session.uuid, lastActiveAt)
      else await insert({ ...kept, lastActiveAt })
      return { ...session, lastActiveAt }
    },
    async isLive(ref) {
      const { written, kept } = await findRow(hashSecret(ref))
      return written !== undefined || kept !== undefined
    },
    async destroy(ref) {
      const refHash = hashSecret(ref)
      if (unwritten.delete(refHash)) return
      await database.transaction(({ db }) =>
        db.deleteFrom('sessions').where('refHash', '=', refHash).execute(),
      )
    },
    async expire() {
      const over = unwritten.expire(oldestUse())
      const { numDeletedRows } = await database.transaction(({ db }) =>
        db.deleteFrom('sessions').where('lastActiveAt', '<=', oldestUse()).executeTakeFirst(),
      )
      return over + Number(numDeletedRows)
    },
  }
}

const withoutHash = ({ refHash: _refHash, ...session }: SessionTable): SessionRow => session

const findUser = (db: Queries, uuid: string) =>
  db
    .selectFrom('users')
    .select(['uuid', 'passwordHash'])
    .where('uuid', '=', uuid)
    .executeTakeFirst()

const requireUser = async (db: Queries, uuid: string): Promise<{ passwordHash: string }> => {
  const user = await findUser(db, uuid)
  if (user === undefined) throw handleInvalid('user', uuid)
  return user
}

/**
 * Before one more: ends what was not used for the longest time, of the user, or of whoever has
 * most.
 */
const makeRoom = async (db: Statements, userUuid: string): Promise<void> => {
  const counts = await db
    .selectFrom('sessions')
    .groupBy('userUuid')
    .select(({ fn }) => ['userUuid', fn.countAll<number>().as('count')])
    .orderBy('count', 'desc')
    .execute()
  const own = counts.find((user) => user.userUuid === userUuid)?.count ?? 0
  if (own >= sessionLimits.ofUser) {
    await endOldest(db, userUuid, own - sessionLimits.ofUser + 1)
    return
  }
  const all = counts.reduce((sum, { count }) => sum + count, 0)
  const most = counts[0]
  if (most !== undefined && all >= sessionLimits.all) {
    await endOldest(db, most.userUuid, all - sessionLimits.all + 1)
  }
}

const endOldest = async (db: Statements, userUuid: string, count: number): Promise<void> => {
  const oldest = db
    .selectFrom('sessions')
    .select('uuid')
    .where('userUuid', '=', userUuid)
    .orderBy('lastActiveAt')
    .orderBy('createdAt')
    .limit(count)
  await db.deleteFrom('sessions').where('uuid', 'in', oldest).execute()
}
