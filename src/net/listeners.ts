// Where the server listens: HTTP or HTTPS, and plain HTTP on loopback beside HTTPS where that is
// asked for. All answer the same, and end together.

import type { RequestListener } from 'node:http'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../log.ts'
import type { Certificate, CertificateFiles, TlsOptions } from './certificate.ts'
import { readCertificate } from './certificate.ts'
import type { Connections } from './connections.ts'
import type { Front, RawRoute } from './front.ts'
import { placeFront } from './front.ts'
import type { Server } from './http-server.ts'
import {
  createHttpServer,
  endConnections,
  headersTimeout,
  listen,
  stopAccepting,
} from './http-server.ts'
import { ensureSelfSigned } from './self-signed.ts'

interface Address {
  readonly host: string
  readonly port: number
}

interface ListenOptions {
  readonly listen: Address
  /** Plain HTTP beside TLS. */
  readonly listenPlain?: Address | undefined
  /** undefined: HTTP without TLS. */
  readonly tls?: CertificateFiles | 'self-signed' | undefined
  /** Absolute: a self-signed certificate lies in its folder `tls`. */
  readonly data: string
}

export interface Listeners {
  /** As a person can open them; that of `listen` first. */
  readonly urls: readonly string[]
  /** A self-signed certificate, for people to compare and to hand to their clients. */
  readonly selfSigned?: { readonly path: string; readonly fingerprint: string }
  /**
   * Reads the certificate again, for new connections; without TLS there is nothing to read.
   * @throws AppError where it cannot be used: the old one stays
   */
  reload(): Promise<void>
  /** Takes no new connections and drops those that have asked for nothing yet. */
  stopAccepting(): void
  /** After stopAccepting: gives the last answers time to be sent, then closes all connections. */
  end(): Promise<void>
}

/**
 * @throws AppError INVALID_VALUE for a certificate that cannot be used, or an error of the
 *   operating system; nothing is left open then
 */
export const openListeners = async (
  options: ListenOptions,
  listener: RequestListener,
  routes: readonly RawRoute[],
  connections: Connections,
  log: Logger,
): Promise<Listeners> => {
  const certificate = await readTls(options, log)
  const open = (address: Address, tls?: TlsOptions): Promise<Listener> =>
    openListener(address, tls, listener, routes, connections, log)
  const main = await open(options.listen, certificate?.options)
  const opened = [main]
  try {
    if (options.listenPlain !== undefined) opened.push(await open(options.listenPlain))
  } catch (error) {
    main.server.close()
    throw error
  }
  let closed: readonly Promise<void>[] = []
  return {
    urls: opened.map(({ url }) => url),
    ...(certificate !== undefined && options.tls === 'self-signed'
      ? { selfSigned: { path: certificate.path, fingerprint: certificate.fingerprint } }
      : {}),
    async reload() {
      const renewed = await readTls(options, log)
      const { server } = main
      if (renewed !== undefined && 'setSecureContext' in server) {
        server.setSecureContext(renewed.options)
      }
    },
    stopAccepting() {
      closed = opened.map(({ server }) => stopAccepting(server))
      for (const { front } of opened) front.closeWaiting()
    },
    async end() {
      const ends = opened.map(({ server, front }, index) =>
        endConnections(server, closed[index]!, () => front.closeAll()),
      )
      await Promise.all(ends)
    },
  }
}

interface Listener {
  readonly server: Server
  readonly front: Front
  readonly url: string
}

const openListener = async (
  address: Address,
  tls: TlsOptions | undefined,
  listener: RequestListener,
  routes: readonly RawRoute[],
  connections: Connections,
  log: Logger,
): Promise<Listener> => {
  const server = createHttpServer(listener, tls)
  const front = placeFront(server, routes, {
    headTimeout: headersTimeout,
    onError: (error) => log.error({ error }, 'a connection failed'),
  })
  connections.watch(server)
  return { server, front, url: await listen(server, address) }
}

const readTls = async (
  { tls, listen, data }: ListenOptions,
  log: Logger,
): Promise<(Certificate & { readonly path: string }) | undefined> => {
  if (tls === undefined) return undefined
  const files = tls === 'self-signed' ? await ownCertificate(data, listen.host, log) : tls
  const certificate = await readCertificate(files)
  const { validTo, isRsa, fingerprint } = certificate
  const path = files.cert
  log.info({ certificate: path, validTo, fingerprint }, 'TLS')
  if (!isRsa) log.warn({ certificate: path }, 'the key is not RSA: xe will not connect')
  if (validTo < new Date()) log.warn({ certificate: path, validTo }, 'has run out')
  return { ...certificate, path }
}

const ownCertificate = async (
  data: string,
  host: string,
  log: Logger,
): Promise<CertificateFiles> => {
  const everywhere = host === '::' || host === '0.0.0.0'
  const names = [hostname(), 'localhost', '127.0.0.1', '::1', ...(everywhere ? [] : [host])]
  const { files, madeBecause } = await ensureSelfSigned(join(data, 'tls'), [...new Set(names)])
  if (madeBecause !== undefined) {
    log.info({ certificate: files.cert, reason: madeBecause }, 'made a self-signed certificate')
  }
  return files
}
