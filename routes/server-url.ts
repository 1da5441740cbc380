// The URL of this server as a client has reached it.

import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'

/** A name or an address, with or without a port. */
const hostPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?$/i

/** @returns without a slash at its end; undefined where the Host header does not tell */
export const serverUrlOf = ({ headers, socket }: IncomingMessage): string | undefined => {
  const { host = '' } = headers
  if (!hostPattern.test(host)) return undefined
  return `${socket instanceof TLSSocket ? 'https' : 'http'}://${host}`
}
