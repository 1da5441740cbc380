// Headers that come twice although only one can count: node:http keeps the first and says nothing.

import type { IncomingMessage } from 'node:http'
import { AppError } from '../src/errors.ts'
import { singleHeaders } from '../src/net/request-head.ts'

/** @throws AppError INVALID_VALUE. RFC 9112, section 3.2, wants a 400 for two Host headers */
export const requireSingleHeaders = ({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): void => {
  const seen = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase()
    if (seen.has(name) && singleHeaders.has(name)) {
      const message = `The request has the header ${rawHeaders[index]} twice: send it once`
      throw new AppError('INVALID_VALUE', [rawHeaders[index]!, rawHeaders[index + 1]!], { message })
    }
    seen.add(name)
  }
}
