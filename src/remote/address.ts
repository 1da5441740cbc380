// Which other server may be spoken to, and what makes us believe that it is that one. A session is
// a secret, so nothing is sent before this is known.

import { AppError } from '../errors.ts'

export type Trust =
  | { readonly kind: 'plain'; readonly mayLeaveMachine: boolean }
  /** @member authorities PEM text; undefined: the system's */
  | { readonly kind: 'authorities'; readonly authorities: string | undefined }
  /** @member sha256 of the certificate, in lower-case hex */
  | { readonly kind: 'fingerprint'; readonly sha256: string }
  | { readonly kind: 'unchecked' }

export interface RemoteAddress {
  /** Without a path. */
  readonly url: URL
  readonly trust: Trust
}

/** What a client says of the other server, each as it wrote it. */
interface AskedAddress {
  readonly url: string
  /** Plain HTTP may leave this machine. */
  readonly plain?: string | undefined
  /** `false`: the certificate is not checked. */
  readonly verify?: string | undefined
  /** SHA-256 of the certificate, in hex, with or without colons. */
  readonly fingerprint?: string | undefined
}

/**
 * @param authorities PEM text of those that this server was started with
 * @throws AppError INVALID_VALUE [option, value]
 */
export const remoteAddress = (asked: AskedAddress, authorities?: string): RemoteAddress => {
  const url = parseUrl(asked.url)
  const isPlain = url.protocol === 'http:'
  const { fingerprint } = asked
  const verify = readFlag('verify', asked.verify, true)
  const plain = readFlag('plain', asked.plain, false)
  if (isPlain) {
    if (fingerprint !== undefined) throw wrong('fingerprint', fingerprint, 'plain HTTP has none')
    return { url, trust: { kind: 'plain', mayLeaveMachine: plain } }
  }
  if (fingerprint !== undefined) {
    const sha256 = fingerprint.replaceAll(':', '').toLowerCase()
    const form = 'must be the SHA-256 of a certificate: 64 hexadecimal digits'
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw wrong('fingerprint', fingerprint, form)
    const both = 'is checked by its fingerprint or not at all'
    if (!verify) throw wrong('verify', 'false', `the certificate ${both}`)
    return { url, trust: { kind: 'fingerprint', sha256 } }
  }
  return { url, trust: verify ? { kind: 'authorities', authorities } : { kind: 'unchecked' } }
}

const parseUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw wrong('master', text, 'must be the URL of a server, http or https')
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong('master', url.host, 'must not hold a name or a password')
  }
  return new URL(url.origin)
}

const readFlag = (name: string, text: string | undefined, fallback: boolean): boolean => {
  if (text === undefined || text === '') return fallback
  if (text === 'true') return true
  if (text === 'false') return false
  throw wrong(name, text, 'must be true or false')
}

const wrong = (name: string, value: string, found: string): AppError =>
  new AppError('INVALID_VALUE', [name, value.slice(0, 200)], {
    message: `${name} is "${value.slice(0, 200)}": ${found}`,
  })
