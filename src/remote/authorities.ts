// The authorities that the certificates of other servers must come from, read from a file.

import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { AppError } from '../errors.ts'

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/**
 * @returns PEM text
 * @throws AppError INVALID_VALUE that names the file: it cannot be read, or holds no certificate
 */
export const readAuthorities = async (path: string): Promise<string> => {
  const wrong = (found: string): AppError =>
    new AppError('INVALID_VALUE', ['migrate-ca', path], {
      message: `--migrate-ca ${path}: ${found}`,
    })
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw wrong(error instanceof Error ? error.message : String(error))
  })
  const found = text.match(certificate)
  if (found === null) throw wrong('it holds no certificate in PEM')
  const broken = found.findIndex((pem) => !isReadable(pem))
  if (broken >= 0) throw wrong(`its certificate ${broken + 1} cannot be read`)
  return found.join('\n')
}

const isReadable = (pem: string): boolean => {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}
