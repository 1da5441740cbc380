// The files of a command: only those that its user named are touched, whatever the server asks for,
// and what was begun and not finished does not stay behind.

import { rmSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'

/** What went wrong on this side, for the user. */
export class ClientSideError extends Error {}

export interface Files {
  /**
   * A new file to write into.
   * @throws ClientSideError for a name that the user did not give, and for a file that is there
   */
  create(name: string): Promise<FileHandle>
  /**
   * @throws ClientSideError for a name that the user did not give, and for a file that cannot be
   *   read
   */
  open(name: string): Promise<FileHandle>
  /** Removes the files that were made; their names. For a command that failed. */
  removeCreated(): readonly string[]
}

/** @param args of the command: what stands behind a `=` may be a file */
export const createFiles = (args: readonly string[]): Files => {
  const named = new Set(
    args.flatMap((arg) => {
      const value = arg.slice(arg.indexOf('=') + 1).trim()
      return arg.includes('=') && value !== '' ? [resolve(value)] : []
    }),
  )
  const created: string[] = []
  const requireNamed = (name: string): void => {
    if (named.has(resolve(name))) return
    const found = `the server asked for the file ${name}, which is not on the command line`
    throw new ClientSideError(`Blocked: ${found}`)
  }
  const openAs = async (name: string, flags: string, doing: string): Promise<FileHandle> => {
    requireNamed(name)
    try {
      return await open(name, flags, 0o600)
    } catch (error) {
      const { message } = error as Error
      throw new ClientSideError(`Cannot ${doing} the file '${name}': ${message}`, { cause: error })
    }
  }
  return {
    async create(name) {
      const file = await openAs(name, 'wx', 'create')
      created.push(name)
      return file
    },
    open: (name) => openAs(name, 'r', 'read'),
    removeCreated() {
      for (const name of created) rmSync(name, { force: true })
      return created
    },
  }
}
