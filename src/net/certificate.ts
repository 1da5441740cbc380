// The server's certificate and its key, from files, checked before they are used: at start and
// again when they have been renewed.

import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { AppError } from '../errors.ts'

export interface CertificateFiles {
  /** PEM: the server's certificate first, then those between it and the authority. */
  readonly cert: string
  /** PEM, without a passphrase. */
  readonly key: string
}

/** What TLS is spoken with: 1.2, which is all that xe knows, and 1.3. */
export interface TlsOptions {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
}

export interface Certificate {
  readonly options: TlsOptions
  readonly validTo: Date
  /** xe cannot connect to a server whose key is of another kind. */
  readonly isRsa: boolean
  /** SHA-256 of the certificate, in hexadecimal with colons, as clients show it. */
  readonly fingerprint: string
}

/**
 * @throws AppError INVALID_VALUE for a file that cannot be read, and for a key that is not that of
 *   the certificate
 */
export const readCertificate = async (files: CertificateFiles): Promise<Certificate> => {
  const cert = await readPem('tls-cert', files.cert)
  const key = await readPem('tls-key', files.key)
  const options = { cert, key, minVersion: 'TLSv1.2' } as const
  try {
    createSecureContext(options)
    const { validToDate, publicKey, fingerprint256 } = new X509Certificate(cert)
    return {
      options,
      validTo: validToDate,
      isRsa: publicKey.asymmetricKeyType === 'rsa',
      fingerprint: fingerprint256,
    }
  } catch (error) {
    throw unusable('tls-cert', files.cert, error)
  }
}

const readPem = async (name: string, path: string): Promise<Buffer> => {
  try {
    return await readFile(path)
  } catch (error) {
    throw unusable(name, path, error)
  }
}

const unusable = (name: string, path: string, cause: unknown): AppError => {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `Cannot use the ${name} ${path}: ${reason}`
  return new AppError('INVALID_VALUE', [name, path], { message, cause })
}
