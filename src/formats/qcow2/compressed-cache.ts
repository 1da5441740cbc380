// Compressed clusters of an image at rest, read when they are needed and kept for a while: readers
// come for a part of one, and come again for the rest.

import { imageError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'
import { decompressCluster } from './compressed.ts'
import type { Header } from './header/header.ts'
import type { ClusterRun } from './cluster-run.ts'

/** Bytes of content that are kept, and at least so many clusters. */
const capacity = 4 * MiB
const leastKept = 4

export interface CompressedCache {
  /**
   * The content of one cluster, which the caller must not change. Readers of one share the work.
   * @throws AppError IMPORT_ERROR_GENERIC for what cannot be decompressed
   */
  get(run: ClusterRun): Promise<Uint8Array>
}

/** @param what is being done, for messages */
export const createCompressedCache = (
  image: Image,
  { clusterSize, compression }: Header,
  what: string,
): CompressedCache => {
  const maximum = Math.max(leastKept, Math.floor(capacity / clusterSize))
  // In the order of last use: the first is the one to go.
  const kept = new Map<number, Promise<Uint8Array>>()

  const load = async ({ cluster, imageOffset, compressedLength }: ClusterRun) => {
    // No signal: others may wait for this one when the reader that asked first is gone. The last
    // sector may be cut: what is said of its end is rounded up.
    const bytes = new Uint8Array(Math.min(compressedLength, image.size - imageOffset))
    await image.read(imageOffset, bytes)
    try {
      return await decompressCluster(bytes, clusterSize, compression)
    } catch (error) {
      const name = `the compressed cluster of guest offset ${hex(cluster * clusterSize)}`
      const reason = error instanceof Error ? error.message : String(error)
      throw imageError(what, `${name} at ${hex(imageOffset)} cannot be read: ${reason}`)
    }
  }
  return {
    get(run) {
      const { imageOffset } = run
      const known = kept.get(imageOffset)
      const content = known ?? load(run)
      kept.delete(imageOffset)
      kept.set(imageOffset, content)
      content.catch(() => {
        if (kept.get(imageOffset) === content) kept.delete(imageOffset)
      })
      for (const oldest of kept.keys()) {
        if (kept.size <= maximum) break
        kept.delete(oldest)
      }
      return content
    },
  }
}
