// A new password: typed twice at a terminal, or one line of standard input.

import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'
import { askUnseen } from '../cli/client/ask-unseen.ts'
import { AppError } from '../errors.ts'

/** @throws AppError INVALID_VALUE where none came, or the second was not the first */
export const readNewPassword = async (
  user: string,
  input: Readable | ReadStream,
  errors: Writable,
): Promise<string> => {
  if (!isTerminal(input)) return readFirstLine(input)
  const password = await askUnseen(`New password of ${user}: `, input, errors)
  if (password === undefined || password === '') throw unfit('no password was given')
  if ((await askUnseen('The same again: ', input, errors)) !== password) {
    throw unfit('the second was not the same as the first')
  }
  return password
}

const isTerminal = (input: Readable | ReadStream): input is ReadStream =>
  'isTTY' in input && input.isTTY

const readFirstLine = async (input: Readable): Promise<string> => {
  const lines = createInterface({ input, crlfDelay: Infinity })
  try {
    for await (const line of lines) {
      if (line !== '') return line
      break
    }
  } finally {
    lines.close()
  }
  throw unfit('no password came on standard input, which must have it as its first line')
}

const unfit = (found: string): AppError =>
  new AppError('INVALID_VALUE', ['password', ''], { message: `The password stays: ${found}` })
