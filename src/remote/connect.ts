// Connections to another server, which carry nothing before it is known to be the one that was
// meant.

import type { Agent, ClientRequestArgs } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import { BlockList, connect as connectPlain, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { AppError } from '../errors.ts'
import type { RemoteAddress, Trust } from './address.ts'
import { RemoteCutError } from './remote-errors.ts'

/** In milliseconds. */
const connectTime = 10_000

/** A peer that has gone without a word is noticed after some probes, begun after this time. */
const keepAliveDelay = 30_000

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

type Done = (error: Error | null, socket: Duplex) => void

/** Keeps connections for the next request. The caller destroys it. */
export const createAgent = ({ url, trust }: RemoteAddress): Agent => {
  const agent = trust.kind === 'plain' ? new HttpAgent(options) : new HttpsAgent(options)
  agent.createConnection = (_request: ClientRequestArgs, done?: Done) => {
    open(url, trust, done ?? (() => {}))
    return undefined
  }
  return agent
}

const options = { keepAlive: true, maxFreeSockets: 4 } as const

const open = (url: URL, trust: Trust, done: Done): void => {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (trust.kind === 'plain' ? 80 : 443)
  const { socket, ready } = begin(host, port, trust)
  const fail = (error: Error): void => {
    clearTimeout(timer)
    socket.off('error', fail)
    socket.on('error', () => {})
    socket.destroy()
    done(toFailure(error, url, trust), socket)
  }
  const timer = setTimeout(() => {
    fail(new RemoteCutError(url.host, `no connection within ${connectTime / 1000} s`))
  }, connectTime)
  socket.once('error', fail)
  socket.once(ready, () => {
    const refusal = whyUntrusted(socket, trust)
    if (refusal !== undefined) {
      fail(untrusted(url, refusal))
      return
    }
    clearTimeout(timer)
    socket.off('error', fail)
    socket.setKeepAlive(true, keepAliveDelay)
    socket.setNoDelay(true)
    done(null, socket)
  })
}

const begin = (
  host: string,
  port: number,
  trust: Trust,
): { readonly socket: Socket; readonly ready: 'connect' | 'secureConnect' } => {
  if (trust.kind === 'plain') return { socket: connectPlain({ host, port }), ready: 'connect' }
  const socket = connectTls({
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(trust.kind === 'authorities' && trust.authorities !== undefined
      ? { ca: trust.authorities }
      : {}),
    rejectUnauthorized: trust.kind === 'authorities',
  })
  return { socket, ready: 'secureConnect' }
}

/** What is wrong with who answers; undefined: nothing. */
const whyUntrusted = (socket: Socket, trust: Trust): string | undefined => {
  if (trust.kind === 'plain') {
    const { remoteAddress = '', remoteFamily } = socket
    const family = remoteFamily === 'IPv6' ? 'ipv6' : 'ipv4'
    if (trust.mayLeaveMachine || loopback.check(remoteAddress, family)) return undefined
    return 'plain HTTP shows the session and the disks to everybody on the way: use https, or options:plain=true'
  }
  if (trust.kind !== 'fingerprint') return undefined
  const found = fingerprintOf(socket)
  if (found === trust.sha256) return undefined
  return `its certificate has the fingerprint ${found}, not ${trust.sha256}`
}

const fingerprintOf = (socket: Socket): string => {
  const certificate = 'getPeerCertificate' in socket ? peerCertificate(socket) : undefined
  return (certificate?.fingerprint256 ?? '').replaceAll(':', '').toLowerCase()
}

const peerCertificate = (socket: object): { readonly fingerprint256?: string } =>
  (socket as { getPeerCertificate(): { fingerprint256?: string } }).getPeerCertificate()

const untrusted = (url: URL, found: string): AppError =>
  new AppError('OPERATION_NOT_ALLOWED', [`The server ${url.host} is not spoken to: ${found}`])

/** Certificates that do not hold are no accident, and trying again does not help. */
const toFailure = (error: Error, url: URL, trust: Trust): Error => {
  if (error instanceof AppError || error instanceof RemoteCutError) return error
  const code = 'code' in error ? String(error.code) : ''
  const isCertificate = trust.kind === 'authorities' && /CERT|SIGNATURE|ISSUER|ALTNAME/.test(code)
  if (!isCertificate) return new RemoteCutError(url.host, error.message)
  const advice =
    'name its authority by --migrate-ca, or its certificate by options:fingerprint=<SHA-256>'
  return untrusted(url, `its certificate does not hold (${error.message}); ${advice}`)
}
