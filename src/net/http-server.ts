// Node's HTTP server with the settings that long transfers need. What answers is given from
// outside.

import type { RequestListener, Server as HttpServer } from 'node:http'
import { createServer } from 'node:http'
import { createServer as createHttpsServer, Server as HttpsServer } from 'node:https'
import type { TlsOptions } from './certificate.ts'

export type Server = HttpServer | HttpsServer

/**
 * How long a client may take for the head of a request, and for the handshake of TLS, in
 * milliseconds.
 */
export const headersTimeout = 10_000

/** How often node:http checks for slow clients within the time that they have. */
const looks = 5

/** How long an idle connection is kept for the next request, in milliseconds. */
const keepAliveTimeout = 65_000

/** How long the last answers may take to leave when the server stops, in milliseconds. */
const lastAnswerTime = 5000

/**
 * @param tls given: nothing but TLS is spoken
 * @param headTimeout for the head and for the handshake, in milliseconds
 */
export const createHttpServer = (
  listener: RequestListener,
  tls?: TlsOptions,
  headTimeout = headersTimeout,
): Server => {
  const options = {
    headersTimeout: headTimeout,
    connectionsCheckingInterval: headTimeout / looks,
    keepAliveTimeout,
    // An upload may take hours: routes/read-body.ts ends one that stalls.
    requestTimeout: 0,
  }
  const server =
    tls === undefined
      ? createServer(options, listener)
      : createHttpsServer({ handshakeTimeout: headTimeout, ...options, ...tls }, listener)
  // Without this, Node sends `100 Continue` before the request has been checked.
  server.on('checkContinue', listener)
  // And this with a bare 417: those that answer know which request it is, and whose task.
  server.on('checkExpectation', listener)
  return server
}

/** Starts to listen; the address that a person can open. Port 0: any that is free. */
export const listen = async (
  server: Server,
  { host, port }: { host: string; port: number },
): Promise<string> => {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address()
  const chosen = typeof address === 'object' && address !== null ? address.port : port
  const scheme = server instanceof HttpsServer ? 'https' : 'http'
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${chosen}`
}

/** Takes no new connections; the promise settles when the last one has ended. */
export const stopAccepting = (server: Server): Promise<void> =>
  new Promise((resolve) => server.close(() => resolve()))

/**
 * Gives the last answers time to be sent, then closes the remaining connections.
 * @param closed from stopAccepting
 * @param closeOthers closes the connections that the HTTP server does not know
 */
export const endConnections = async (
  server: Server,
  closed: Promise<void>,
  closeOthers: () => void,
): Promise<void> => {
  // A connection becomes idle when its answer has left, and would then wait for another request.
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const deadline = setTimeout(() => {
    server.closeAllConnections()
    closeOthers()
  }, lastAnswerTime)
  await closed
  clearInterval(idle)
  clearTimeout(deadline)
}
