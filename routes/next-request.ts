// A body without a length, from a client that may keep its connection: by RFC 9112, section 6.3, it
// has none, and what follows is the next request. That must not become the content of a disk.

import { AppError } from '../src/errors.ts'
import type { RequestHead } from '../src/net/request-head.ts'
import { KiB } from '../src/units.ts'

/** The longest request line that is recognised. */
const longestLine = 4 * KiB

const requestLine = /^[A-Z]{3,20} \/[!-~]* HTTP\/1\.[01]\r\n/
/** What may still become one. */
const beginning = /^[A-Z]{0,20}( (\/[!-~]*( [!-~]*\r?)?)?)?$/

/** Whether the client says that it closes the connection behind its body, or is known to. */
export const closesBehind = ({ httpVersion, headers }: RequestHead, isChunked: boolean): boolean =>
  httpVersion === '1.0' || isChunked || /(^|[\s,])close([\s,]|$)/i.test(headers['connection'] ?? '')

/**
 * The chunks as they come.
 * @throws AppError IMPORT_ERROR_GENERIC where they begin as a request does
 */
export async function* requireNoRequest(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (held === undefined) {
      yield chunk
      continue
    }
    held = Buffer.concat([held, chunk])
    const start = held.toString('latin1', 0, longestLine)
    if (requestLine.test(start)) throw followedByRequest(start)
    if (held.length < longestLine && beginning.test(start)) continue
    yield held
    held = undefined
  }
  if (held !== undefined && held.length > 0) yield held
}

const followedByRequest = (start: string): AppError => {
  const line = start.slice(0, Math.min(start.indexOf('\r\n'), 100))
  return new AppError('IMPORT_ERROR_GENERIC', [
    `The upload has no body: the request "${line}" follows it on its connection. ` +
      'Send a Content-Length or Transfer-Encoding: chunked',
  ])
}
