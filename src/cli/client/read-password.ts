// Who the user says to be: from a file, from the options, or asked for at the terminal.

import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import type { ReadStream } from 'node:tty'
import { Writable } from 'node:stream'
import type { XeOptions } from './options.ts'
import { UsageError } from './usage.ts'

interface Credentials {
  readonly username: string
  readonly password: string
}

/** @throws UsageError for a password file that is not there, or without two lines */
export const readPassword = async (
  { username, password, passwordFile }: XeOptions,
  input: ReadStream,
  errors: Writable,
): Promise<Credentials> => {
  if (passwordFile !== undefined) return readPasswordFile(passwordFile)
  if (password !== undefined) return { username, password }
  // What the real xe sends; a server that wants a password refuses it.
  if (!input.isTTY) return { username, password: 'null' }
  errors.write(`Password of ${username}: `)
  const answer = await askUnseen(input)
  errors.write('\n')
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

const askUnseen = async (input: ReadStream): Promise<string> => {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input, output: nowhere, terminal: true })
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
  }
}
