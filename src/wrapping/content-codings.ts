// The content codings that an export may have on its way: node:zlib compresses in threads of its
// own, with bounded memory, at the level where the processor keeps up with a network.

import type { Transform } from 'node:stream'
import { constants, createGzip, createZstdCompress } from 'node:zlib'
import type { PooledBuffer } from '../image/buffer-pool.ts'
import { receivedBytes } from '../image/young-garbage.ts'
import { KiB } from '../units.ts'

/** The best first. */
export const contentCodings = ['zstd', 'gzip'] as const

export type ContentCoding = (typeof contentCodings)[number]

/** Bytes that come out at a time. */
const chunkSize = 256 * KiB

const createCompressor: Readonly<Record<ContentCoding, () => Transform>> = {
  zstd: () =>
    createZstdCompress({
      chunkSize,
      // The checksum at its end is compared by whoever decompresses it.
      params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
    }),
  gzip: () => createGzip({ chunkSize, level: 1 }),
}

/**
 * The compressed bytes, as they come. Each buffer is released once it has been read. Throws what
 * `source` throws; leaves it where the caller leaves.
 */
export async function* compressContent(
  coding: ContentCoding,
  source: AsyncIterable<PooledBuffer>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const compressor = createCompressor[coding]()
  const feeding = feed(source, compressor)
  // Thrown below, when the chunks before it have been taken.
  feeding.catch(() => {})
  try {
    for await (const chunk of compressor as AsyncIterable<Uint8Array>) {
      receivedBytes(chunk.length)
      yield chunk
    }
  } finally {
    compressor.destroy()
    await feeding
  }
}

/** Writes all of `source` and ends; returns early where nobody reads any more. */
const feed = async (source: AsyncIterable<PooledBuffer>, compressor: Transform): Promise<void> => {
  // What was being written when it was destroyed is not told of.
  let wake = (): void => {}
  compressor.once('close', () => wake())
  const written = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
      compressor.write(bytes, () => resolve())
    })
  try {
    for await (const { bytes, release } of source) {
      if (!compressor.destroyed) await written(bytes)
      release()
      if (compressor.destroyed) return
    }
    compressor.end()
  } catch (error) {
    compressor.destroy(error as Error)
    throw error
  }
}
