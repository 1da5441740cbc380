// The checksums that stand beside the blocks: SHA-1, which every XenServer reads and those up to
// 8.0 write, and XXH64 since 8.1.

import { createHash } from 'node:crypto'
import xxhash from 'xxhash-wasm'

/** Takes bytes in order. */
export interface BlockHash {
  update(bytes: Uint8Array): void
  /** As it stands in the archive. To be called once. */
  digest(): string
}

export interface Checksum {
  /** What the name of its file ends with, after that of the block. */
  readonly ending: string
  /** Characters of a digest. */
  readonly length: number
  create(): Promise<BlockHash>
}

let loaded: ReturnType<typeof xxhash> | undefined

/** By the names of the subformats. */
export const checksums = {
  sha1: {
    ending: '.checksum',
    length: 40,
    async create() {
      const hash = createHash('sha1')
      return {
        update: (bytes) => void hash.update(bytes),
        digest: () => hash.digest('hex'),
      }
    },
  },
  xxhash: {
    ending: '.xxhash',
    length: 16,
    async create() {
      const hash = (await (loaded ??= xxhash())).create64()
      return {
        update: (bytes) => void hash.update(bytes),
        // XenServer compares the text: capitals.
        digest: () => hash.digest().toString(16).toUpperCase().padStart(16, '0'),
      }
    },
  },
} as const satisfies Record<string, Checksum>

/** The checksum in a file of this name; undefined for any other file. */
export const checksumOf = (name: string): Checksum | undefined =>
  Object.values(checksums).find(({ ending }) => name.endsWith(ending))
