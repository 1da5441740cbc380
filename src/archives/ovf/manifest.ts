// The manifest of an OVA, with a digest of each file a line: `SHA256(disk.vmdk)= 9f86`. It may come
// before the disks or after them. DSP0243, "Distribution".

import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import { imageError } from '../../errors.ts'
import { quote } from '../../formats/tar/header.ts'
import { MiB } from '../../units.ts'

const what = 'Cannot import the OVA'

/** By the names of manifests, with the length of a digest in characters. */
const algorithms: Readonly<Record<string, { readonly name: string; readonly length: number }>> = {
  SHA1: { name: 'sha1', length: 40 },
  SHA256: { name: 'sha256', length: 64 },
  SHA512: { name: 'sha512', length: 128 },
}

/** Of a manifest, in bytes. */
export const MAXIMUM_MANIFEST_SIZE = MiB

interface Claim {
  readonly algorithm: string
  readonly digest: string
}

/** Collects digests as the files of the archive pass, and compares them once the manifest has. */
export interface Manifest {
  /** Passes the content of a file through. */
  hashed(
    name: string,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined>
  /** @throws AppError IMPORT_ERROR_GENERIC for a text that is none, or a second one */
  read(text: string): void
  /**
   * Compares all: to be called when the archive has ended.
   * @returns the files that the manifest does not name; none without a manifest
   * @throws AppError IMPORT_ERROR_GENERIC for a file that is not what the manifest says, or is not
   *   there
   */
  verify(): readonly string[]
}

export const createManifest = (): Manifest => {
  let claims: ReadonlyMap<string, Claim> | undefined
  /** Of each file by algorithm. */
  const digests = new Map<string, ReadonlyMap<string, string>>()

  const compare = (name: string, { algorithm, digest }: Claim): void => {
    const found = digests.get(name)?.get(algorithm)
    if (found === undefined) {
      throw imageError(what, `its manifest names ${quote(name)}, which is not in it`)
    }
    if (found === digest) return
    const told = `the ${algorithm} of ${quote(name)} is ${found}, its manifest says ${digest}`
    throw imageError(what, told)
  }

  return {
    async *hashed(name, chunks) {
      // Which of them it is shows in a manifest that comes before.
      const claim = claims?.get(name)
      const names = claim === undefined ? Object.keys(algorithms) : [claim.algorithm]
      const wanted = claims !== undefined && claim === undefined ? [] : names
      const hashes = wanted.map((key): [string, Hash] => [key, createHash(algorithms[key]!.name)])
      for await (const chunk of chunks) {
        for (const [, hash] of hashes) hash.update(chunk)
        yield chunk
      }
      digests.set(name, new Map(hashes.map(([key, hash]) => [key, hash.digest('hex')] as const)))
      // Before more is read.
      if (claim !== undefined) compare(name, claim)
    },
    read(text) {
      if (claims !== undefined) throw imageError(what, 'it has two manifests')
      claims = parseManifest(text)
    },
    verify() {
      if (claims === undefined) return []
      for (const [name, claim] of claims) compare(name, claim)
      return [...digests.keys()].filter((name) => claims?.has(name) !== true)
    },
  }
}

const parseManifest = (text: string): ReadonlyMap<string, Claim> => {
  const claims = new Map<string, Claim>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const where = `line ${index + 1} of its manifest`
    const [, algorithm = '', name = '', digest = ''] =
      /^\s*(\w[\w-]*)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)\s*$/.exec(line) ?? []
    const known = algorithm.toUpperCase().replace('-', '')
    const length = Object.hasOwn(algorithms, known) ? algorithms[known]!.length : undefined
    if (name === '') throw imageError(what, `${where} is no digest of a file`)
    if (length === undefined) {
      const names = Object.keys(algorithms).join(', ')
      throw imageError(what, `${where} has the digest ${quote(algorithm)}, ${names} are known`)
    }
    if (digest.length !== length) {
      throw imageError(what, `${where} has ${digest.length} digits, a ${known} has ${length}`)
    }
    if (claims.has(name)) throw imageError(what, `${where} names ${quote(name)} again`)
    claims.set(name, { algorithm: known, digest: digest.toLowerCase() })
  }
  return claims
}
