// Who the user says to be: from a file, from the options, or asked for at the terminal.

import { readFile } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'
import { askUnseen } from './ask-unseen.ts'
import { ClientSideError } from './files.ts'
import type { XeOptions } from './options.ts'
import { UsageError } from './usage.ts'

interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * @throws UsageError for a password file that is not there, or without two lines; ClientSideError
 *   where the user broke off
 */
export const readPassword = async (
  { username, password, passwordFile }: XeOptions,
  input: ReadStream,
  errors: Writable,
): Promise<Credentials> => {
  if (passwordFile !== undefined) return readPasswordFile(passwordFile)
  if (password !== undefined) return { username, password }
  // What the real xe sends; a server that wants a password refuses it.
  if (!input.isTTY) return { username, password: 'null' }
  const answer = await askUnseen(`Password of ${username}: `, input, errors)
  if (answer === undefined) throw new ClientSideError('No password was given')
  return { username, password: answer }
}

const readPasswordFile = async (path: string): Promise<Credentials> => {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new UsageError(`Error opening password file '${path}': ${error.message}`)
  })
  const [username, password] = text.split(/\r?\n/)
  if (!username || password === undefined) {
    const expected = 'expecting username on the first line, password on the second line'
    throw new UsageError(`Error: password file format: ${expected}`)
  }
  return { username, password }
}
