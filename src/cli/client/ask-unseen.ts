// Asks for a password at a terminal, which does not show what is typed.

import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'

/** The line that was typed; undefined where the user broke off, with Ctrl+C or Ctrl+D. */
export const askUnseen = (
  question: string,
  input: ReadStream,
  errors: Writable,
): Promise<string | undefined> => {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input, output: nowhere, terminal: true })
  errors.write(question)
  return new Promise<string | undefined>((resolve) => {
    terminal.once('line', resolve)
    terminal.once('SIGINT', () => terminal.close())
    terminal.once('close', () => resolve(undefined))
  }).finally(() => {
    terminal.close()
    errors.write('\n')
  })
}
