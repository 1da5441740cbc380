// Does what `diskport user …` asks for, in the catalog itself: beside a running server, which reads
// users and sessions from there for each request, or without one.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { Catalog, CatalogOptions } from '../catalog/catalog.ts'
import { catalogFile, createCatalog } from '../catalog/catalog.ts'
import type { UserRow, Users } from '../catalog/users/users.ts'
import { AppError } from '../errors.ts'
import { readNewPassword } from './read-new-password.ts'
import type { UserAction } from './user-command.ts'

interface UserCommandIo {
  readonly input: Readable
  readonly output: Writable
  readonly errors: Writable
}

/**
 * @param data the data folder
 * @throws AppError INVALID_VALUE for a user who is not there, or is already, and for an unfit
 *   password; OPERATION_NOT_ALLOWED for the last administrator and where no server has ever used
 *   the folder; INTERNAL_ERROR for a catalog that cannot be opened
 */
export const runUserAction = async (
  data: string,
  action: UserAction,
  io: UserCommandIo,
  options: CatalogOptions = {},
): Promise<void> => {
  const catalog = await openCatalog(data, options)
  try {
    await actions[action.name](catalog, action, io)
  } finally {
    await catalog.close()
  }
}

const openCatalog = async (data: string, options: CatalogOptions): Promise<Catalog> => {
  const path = join(data, catalogFile)
  const found = await stat(path).catch((error: Error) => error)
  if (found instanceof Error) {
    const advice = 'name the folder with --data, or start the server on it once'
    const message = `There is no catalog in ${data}: ${advice} (${found.message})`
    throw new AppError('OPERATION_NOT_ALLOWED', [message])
  }
  return createCatalog(path, { ...options, tables: 'keep' })
}

type Run = (catalog: Catalog, action: UserAction, io: UserCommandIo) => Promise<void>

const actions: Readonly<Record<UserAction['name'], Run>> = {
  async list({ users }, _action, { output }) {
    for (const user of await users.list()) output.write(`${lineOf(user)}\n`)
  },
  async add({ users }, { user: name, role }, io) {
    // Before somebody types a password in vain.
    if ((await users.getByName(name)) !== undefined) {
      const message = `There is a user ${name} already`
      throw new AppError('INVALID_VALUE', ['name', name], { message })
    }
    const password = await readNewPassword(name, io.input, io.errors)
    await users.create({ name, password, role })
    io.output.write(`${name} may log in now, with the role ${role}\n`)
  },
  async passwd({ users }, { user: name }, io) {
    const { uuid } = await requireUser(users, name)
    await users.setPassword(uuid, await readNewPassword(name, io.input, io.errors))
    io.output.write(`${name} has a new password; all sessions of ${name} have ended\n`)
  },
  async 'set-role'({ users }, { user: name, role }, { output }) {
    const { uuid } = await requireUser(users, name)
    await users.setRole(uuid, role)
    output.write(`${name} has the role ${role}\n`)
  },
  async remove({ users }, { user: name }, { output }) {
    const { uuid } = await requireUser(users, name)
    await users.destroy(uuid)
    output.write(`${name} has been removed, and all sessions of ${name} have ended\n`)
  },
}

const requireUser = async (users: Users, name: string): Promise<UserRow> => {
  const user = await users.getByName(name)
  if (user !== undefined) return user
  const known = (await users.list()).map((user) => user.name).join(', ')
  const message = `There is no user ${name}; there are ${known || 'none'}`
  throw new AppError('INVALID_VALUE', ['name', name], { message })
}

/**
 * The name last: it may have spaces. One with control characters, which a terminal would obey, in
 * quotes.
 */
const lineOf = ({ role, createdAt, name }: UserRow): string => {
  const created = createdAt.toISOString().replace(/\.\d+/, '')
  const shown = /\p{Cc}/u.test(name) ? JSON.stringify(name) : name
  return `${role.padEnd(14)}  ${created}  ${shown}`
}
