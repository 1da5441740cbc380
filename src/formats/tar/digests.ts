// Checksums of blocks for an export that may be read in any pieces. What is read in order, as
// downloads do, is hashed on its way; any other block is read once more for its checksum.

import type { BlockHash, Checksum } from './checksums.ts'

interface Digests {
  /** Bytes of a block, from `offset` inside it on, that have been read just now. */
  saw(block: number, offset: number, bytes: Uint8Array): Promise<void>
  /** The checksum of a block of `length` bytes, as it stands in the archive. */
  of(block: number, length: number, signal?: AbortSignal): Promise<string>
}

/** @param read fills `target` with all of a block */
export const createDigests = (
  checksum: Checksum,
  read: (block: number, target: Uint8Array, signal?: AbortSignal) => Promise<void>,
): Digests => {
  /** The block that is being read in order, up to `end`. */
  let running: { readonly block: number; readonly hash: BlockHash; end: number } | undefined
  /** The last answer: its text may be asked for in two pieces. */
  let known: { readonly block: number; readonly digest: string } | undefined

  return {
    async saw(block, offset, bytes) {
      if (offset === 0) running = { block, hash: await checksum.create(), end: 0 }
      if (running === undefined || running.block !== block || running.end !== offset) return
      running.hash.update(bytes)
      running.end += bytes.length
    },
    async of(block, length, signal) {
      if (known?.block === block) return known.digest
      let hash: BlockHash
      if (running?.block === block && running.end === length) {
        hash = running.hash
        running = undefined
      } else {
        hash = await checksum.create()
        const bytes = new Uint8Array(length)
        await read(block, bytes, signal)
        hash.update(bytes)
      }
      const digest = hash.digest()
      known = { block, digest }
      return digest
    },
  }
}
