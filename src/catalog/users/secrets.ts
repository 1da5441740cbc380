// References that are secrets: whoever shows one may act. The catalog keeps only their hashes.

import { createHash, randomBytes } from 'node:crypto'
import { toRef } from '../../refs.ts'

/** 128 random bits, written like a reference. */
export const randomSecret = (): string => {
  const digits = randomBytes(16).toString('hex')
  return toRef(digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'))
}

/** A plain hash is enough: nobody guesses 128 random bits. */
export const hashSecret = (secret: string): string =>
  createHash('sha256').update(secret).digest('base64')
