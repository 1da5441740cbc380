// Passwords as scrypt hashes. The text carries its parameters, so that they can be raised later:
// `scrypt$N=8192,r=8,p=10$<salt>$<key>`, base64.

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { ScryptOptions } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { Asker } from './password-queue.ts'
import { createPasswordQueue, knownAsker } from './password-queue.ts'

/** scrypt's own names: cost, block size, parallelization. */
export interface PasswordCost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** 8 MiB and about a fifth of a second: OWASP's choice for little memory. */
export const defaultPasswordCost: PasswordCost = { N: 8192, r: 8, p: 10 }

/** In bytes of UTF-8. */
const MAXIMUM_PASSWORD_LENGTH = 1024

const KEY_LENGTH = 32
const SALT_LENGTH = 16

const derive = promisify<string, Uint8Array, number, ScryptOptions, Buffer>(scrypt)

export interface PasswordHasher {
  /** @throws AppError INVALID_VALUE for an empty password or one over 1024 bytes; TOO_BUSY */
  hash(password: string): Promise<string>

  /**
   * Whether `password` is the hashed one. Takes the same time for both answers and for no hash.
   * @param stored undefined for a user who does not exist: false
   * @param turn whose turn it is; default: a known user's
   * @throws AppError TOO_BUSY
   */
  verify(password: string, stored: string | undefined, turn?: PasswordTurn): Promise<boolean>
}

interface PasswordTurn {
  readonly asker: Asker
  readonly userName: string
}

const knownTurn: PasswordTurn = { asker: knownAsker, userName: '' }

export const createPasswordHasher = (cost = defaultPasswordCost): PasswordHasher => {
  const queue = createPasswordQueue()
  const deriveInTurn = (
    password: string,
    salt: Uint8Array,
    { N, r, p }: PasswordCost,
    { asker, userName }: PasswordTurn,
  ) => {
    // What OpenSSL allocates for these parameters; left alone, node allows 32 MiB.
    const maxmem = 128 * r * (N + p + 2)
    const work = () => derive(password, salt, KEY_LENGTH, { N, r, p, maxmem })
    return queue.run(asker, userName, work)
  }
  const format = (salt: Uint8Array, key: Uint8Array): string =>
    `scrypt$N=${cost.N},r=${cost.r},p=${cost.p}$${base64(salt)}$${base64(key)}`
  // What a password is compared with where there is no user: no password has this key.
  const decoy = format(randomBytes(SALT_LENGTH), randomBytes(KEY_LENGTH))
  return {
    async hash(password) {
      const length = Buffer.byteLength(password)
      if (length === 0 || length > MAXIMUM_PASSWORD_LENGTH) {
        const message = `A password has 1 to ${MAXIMUM_PASSWORD_LENGTH} bytes, not ${length}`
        throw new AppError('INVALID_VALUE', ['password', `${length} bytes`], { message })
      }
      const salt = randomBytes(SALT_LENGTH)
      return format(salt, await deriveInTurn(password, salt, cost, knownTurn))
    },
    async verify(password, stored, turn = knownTurn) {
      const isTooLong = Buffer.byteLength(password) > MAXIMUM_PASSWORD_LENGTH
      const { cost, salt, key } = parseHash(stored ?? decoy)
      // A password of an unknown user costs as much as any other; its failure is logged, too.
      const derived = await deriveInTurn(isTooLong ? '' : password, salt, cost, turn)
      return timingSafeEqual(derived, key) && !isTooLong
    },
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

const hashPattern = /^scrypt\$N=(\d{1,7}),r=(\d{1,2}),p=(\d{1,2})\$([\w+/=]+)\$([\w+/=]+)$/

const parseHash = (stored: string): { cost: PasswordCost; salt: Uint8Array; key: Uint8Array } => {
  const [, N, r, p, salt, key] = hashPattern.exec(stored) ?? []
  if (salt === undefined || key === undefined || Buffer.from(key, 'base64').length !== KEY_LENGTH) {
    throw new AppError('INTERNAL_ERROR', ['A password hash in the catalog is not readable'])
  }
  return {
    cost: { N: Number(N), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    key: Buffer.from(key, 'base64'),
  }
}
