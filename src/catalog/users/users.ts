// Users with their role and their password's hash.

import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { Database } from '../database.ts'
import type { Queries } from '../transaction.ts'
import type { PasswordHasher } from './password-hash.ts'
import type { Asker } from './password-queue.ts'
import { knownAsker } from './password-queue.ts'
import { handleInvalid } from '../../object-errors.ts'
import type { Role, UserTable } from '../schema.ts'

export type UserRow = Readonly<UserTable>

const MAXIMUM_NAME_LENGTH = 256

export interface Users {
  /**
   * @throws AppError INVALID_VALUE for a name that is empty, too long or taken, or an unfit
   *   password
   */
  create(user: NewUser): Promise<UserRow>

  get(uuid: string): Promise<UserRow | undefined>

  /** Names are compared letter by letter. */
  getByName(name: string): Promise<UserRow | undefined>

  list(): Promise<UserRow[]>

  /**
   * The user of that name and password, or undefined; an unknown name takes as long as a wrong
   * password.
   * @param asker who shows them, and waits for a turn; default: the server itself
   * @throws AppError TOO_BUSY
   */
  verify(name: string, password: string, asker?: Asker): Promise<UserRow | undefined>

  /**
   * Ends the user's sessions too, all but one where that is given.
   * @throws AppError HANDLE_INVALID, INVALID_VALUE for an unfit password
   */
  setPassword(uuid: string, password: string, keptSessionUuid?: string): Promise<void>

  /** @throws AppError HANDLE_INVALID, OPERATION_NOT_ALLOWED for the last administrator */
  setRole(uuid: string, role: Role): Promise<void>

  /**
   * Ends the user's sessions too.
   * @throws AppError HANDLE_INVALID, OPERATION_NOT_ALLOWED for the last administrator
   */
  destroy(uuid: string): Promise<void>
}

interface NewUser {
  readonly uuid?: string
  readonly name: string
  readonly password: string
  readonly role: Role
}

export const createUsers = (
  database: Database,
  now: () => Date,
  passwords: PasswordHasher,
): Users => {
  const { db } = database
  const getByName = (name: string): Promise<UserRow | undefined> =>
    db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst()
  return {
    async create({ uuid = randomUUID(), name, password, role }) {
      if (name.length === 0 || name.length > MAXIMUM_NAME_LENGTH) {
        const message = `A user name has 1 to ${MAXIMUM_NAME_LENGTH} characters, not ${name.length}`
        throw new AppError('INVALID_VALUE', ['name', `${name.length} characters`], { message })
      }
      if ((await getByName(name)) !== undefined) {
        const message = `There is a user ${name} already`
        throw new AppError('INVALID_VALUE', ['name', name], { message })
      }
      const passwordHash = await passwords.hash(password)
      const user = { uuid, name, passwordHash, role, createdAt: now() }
      await database.transaction((transaction) => transaction.insert('users', user))
      return user
    },
    get: (uuid) => db.selectFrom('users').selectAll().where('uuid', '=', uuid).executeTakeFirst(),
    getByName,
    list: () => db.selectFrom('users').selectAll().orderBy('name').execute(),
    async verify(name, password, asker = knownAsker) {
      const user = await getByName(name)
      const turn = { asker, userName: name }
      const matches = await passwords.verify(password, user?.passwordHash, turn)
      return matches ? user : undefined
    },
    async setPassword(uuid, password, keptSessionUuid = '') {
      const passwordHash = await passwords.hash(password)
      await database.transaction(async ({ db, untold }) => {
        const { numUpdatedRows } = await untold
          .updateTable('users')
          .set({ passwordHash })
          .where('uuid', '=', uuid)
          .executeTakeFirst()
        if (numUpdatedRows === 0n) throw handleInvalid('user', uuid)
        await db
          .deleteFrom('sessions')
          .where('userUuid', '=', uuid)
          .where('uuid', '!=', keptSessionUuid)
          .execute()
      })
    },
    setRole: (uuid, role) =>
      database.transaction(async (transaction) => {
        if (role !== 'pool-admin') await requireOtherAdministrator(transaction.db, uuid)
        if (!(await transaction.update('users', uuid, { role }))) throw handleInvalid('user', uuid)
      }),
    destroy: (uuid) =>
      database.transaction(async (transaction) => {
        await requireOtherAdministrator(transaction.db, uuid)
        if ((await transaction.remove('users', [uuid])) === 0) throw handleInvalid('user', uuid)
      }),
  }
}

/** Without an administrator, none could ever be made again. */
const requireOtherAdministrator = async (db: Queries, uuid: string): Promise<void> => {
  const administrators = await db
    .selectFrom('users')
    .select('uuid')
    .where('role', '=', 'pool-admin')
    .execute()
  if (administrators.some((user) => user.uuid !== uuid)) return
  if (administrators.length === 0) return
  throw new AppError('OPERATION_NOT_ALLOWED', ['The last user with the role pool-admin must stay'])
}
