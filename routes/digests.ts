// The digests that a client sends beside an upload: read from its headers, and held against the
// bytes that came before anything of them is committed. RFC 9530; Digest (RFC 3230) and Content-MD5
// (RFC 1864) before it.

import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import { AppError } from '../src/errors.ts'

/** The headers of a request that may hold digests. Names in lower case. */
interface DigestHeaders {
  readonly [name: string]: string | readonly string[] | undefined
}

interface Digest {
  /** As a person writes it: `Content-Digest`. */
  readonly header: string
  /** `sha-256` */
  readonly algorithm: string
  readonly expected: Buffer
}

/** What each algorithm is called by node:crypto, and the length of its digests in bytes. */
const algorithms: ReadonlyMap<string, { readonly name: string; readonly length: number }> = new Map(
  [
    ['sha-256', { name: 'sha256', length: 32 }],
    ['sha-512', { name: 'sha512', length: 64 }],
    ['sha', { name: 'sha1', length: 20 }],
    ['md5', { name: 'md5', length: 16 }],
  ],
)

/**
 * Of a whole upload without a content coding, the content and the representation are the same
 * bytes.
 */
const headerNames = {
  'content-digest': 'Content-Digest',
  'repr-digest': 'Repr-Digest',
  digest: 'Digest',
  'content-md5': 'Content-MD5',
} as const

/**
 * All digests that can be verified; none where the client sent none.
 * @throws AppError INVALID_VALUE for a header that cannot be read, names no algorithm that is known
 *   here, or announces a digest behind the body
 */
const readDigests = (headers: DigestHeaders): readonly Digest[] => {
  requireNoDigest('Trailer', String(headers['trailer'] ?? '').split(/[\s,]+/))
  return Object.entries(headerNames).flatMap(([name, header]) => {
    const value = headers[name]
    return value === undefined ? [] : readHeader(header, String(value))
  })
}

/**
 * A digest behind the body comes too late: nothing has been hashed for it.
 * @param where `Trailer`
 * @param names of header fields
 * @throws AppError INVALID_VALUE
 */
export const requireNoDigest = (where: string, names: readonly string[]): void => {
  const lowerCase = names.map((name) => name.toLowerCase())
  const found = Object.entries(headerNames).find(([name]) => lowerCase.includes(name))
  if (found === undefined) return
  const message = `${found[1]} comes behind the body: send it as a header, before it`
  throw new AppError('INVALID_VALUE', [where, found[1]], { message })
}

const readHeader = (header: string, value: string): readonly Digest[] => {
  const members = header === 'Content-MD5' ? [['md5', value.trim()]] : membersOf(header, value)
  const known = members.flatMap(([algorithm = '', text = '']) => {
    const length = algorithms.get(algorithm)?.length
    if (length === undefined) return []
    const expected = Buffer.from(text, 'base64')
    if (expected.length === length && expected.toString('base64') === text) {
      return [{ header, algorithm, expected }]
    }
    const found = `its ${algorithm} is "${text}", must be ${length} bytes in base64`
    throw new AppError('INVALID_VALUE', [header, value], { message: `${header}: ${found}` })
  })
  if (known.length > 0) return known
  const names = members.map(([algorithm]) => algorithm).join(', ')
  const message = `${header} names ${names || 'nothing'}: ${[...algorithms.keys()].join(', ')} are known`
  throw new AppError('INVALID_VALUE', [header, value], { message })
}

// RFC 9530: a dictionary of byte sequences between colons (RFC 8941). RFC 3230 has no colons.
const member = /^\s*([A-Za-z*][\w*.-]*)=(:?)([A-Za-z0-9+/]*={0,2})\2(?:;.*)?\s*$/

const membersOf = (header: string, value: string): (readonly [string, string])[] =>
  value.split(',').map((text) => {
    const [, algorithm, colon, digest] = member.exec(text) ?? []
    if (
      algorithm === undefined ||
      digest === undefined ||
      (colon === '') !== (header === 'Digest')
    ) {
      const form = header === 'Digest' ? 'sha-256=<base64>' : 'sha-256=:<base64>:'
      const message = `${header} is "${value}", must be like ${form}`
      throw new AppError('INVALID_VALUE', [header, value], { message })
    }
    return [algorithm.toLowerCase(), digest]
  })

/** Of one upload: the bytes pass through it, and are judged when they have. */
interface DigestCheck {
  /** To be iterated once. */
  readonly pass: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
  /** @throws AppError IMPORT_ERROR_GENERIC if the bytes do not match a digest */
  readonly verify: () => void
}

/**
 * @param headers of the upload
 * @returns undefined where they hold no digest
 * @throws AppError INVALID_VALUE: see readDigests
 */
export const createDigestCheck = (headers: DigestHeaders): DigestCheck | undefined => {
  const digests = readDigests(headers)
  if (digests.length === 0) return undefined
  const hashes = new Map<string, Hash>()
  for (const { algorithm } of digests) {
    if (!hashes.has(algorithm)) hashes.set(algorithm, createHash(algorithms.get(algorithm)!.name))
  }
  let received = 0
  return {
    async *pass(chunks) {
      for await (const chunk of chunks) {
        for (const hash of hashes.values()) hash.update(chunk)
        received += chunk.length
        yield chunk
      }
    },
    verify() {
      for (const { header, algorithm, expected } of digests) {
        const found = hashes.get(algorithm)!.copy().digest()
        if (found.equals(expected)) continue
        throw new AppError('IMPORT_ERROR_GENERIC', [
          `The upload is not what its ${header} says: the ${algorithm} of the ${received} bytes received is ` +
            `${found.toString('base64')}, expected ${expected.toString('base64')}`,
        ])
      }
    },
  }
}
