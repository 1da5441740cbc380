// Headers that come twice although only one can count: node:http keeps the first and says nothing.

import type { IncomingMessage } from 'node:http'
import { AppError } from '../src/errors.ts'

/** Those that a request may have once, and that say what it is, who sends it, or under which condition. */
const singletons: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-md5',
  'content-range',
  'content-type',
  'host',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'range',
])

/** @throws AppError INVALID_VALUE. RFC 9112, section 3.2, wants a 400 for two Host headers */
export const requireSingleHeaders = ({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): void => {
  const seen = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase()
    if (seen.has(name) && singletons.has(name)) {
      const message = `The request has the header ${rawHeaders[index]} twice: send it once`
      throw new AppError('INVALID_VALUE', [rawHeaders[index]!, rawHeaders[index + 1]!], { message })
    }
    seen.add(name)
  }
}
