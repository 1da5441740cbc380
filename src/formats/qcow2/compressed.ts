// Compressed clusters: where one lies, and its content. QCOW2, "Compressed Clusters Descriptor": it
// begins at any byte and is said to end at the end of a sector, in which the next one may begin.
// One by itself is decompressed by Node's zlib in the threads of libuv, those of a stream in
// batches.

import { inflateRaw, constants as zlibConstants, zstdDecompress } from 'node:zlib'
import { receivedBytes } from '../../image/young-garbage.ts'
import { SECTOR_SIZE } from '../../units.ts'
import type { Decompressor } from '../decompression/decompressor.ts'
import { createDecompressor } from '../decompression/decompressor.ts'
import { zstdWindowLog } from '../decompression/messages.ts'
import type { CompressionType } from './constants.ts'
import { zstdFrameLength } from './zstd-frame.ts'

/** Where a compressed cluster lies. */
export interface CompressedSpan {
  /** In the image, at any byte. */
  readonly offset: number
  /** Bytes up to the end of its last sector; an image may end before that. */
  readonly length: number
}

/** Bit 62. */
const compressedBit = 0x40_00_00_00

/**
 * @param high bits 32-63 of an L2 entry, whose bit 62 is set
 * @param low bits 0-31
 */
export const readSpan = (high: number, low: number, clusterSize: number): CompressedSpan => {
  // The number of sectors takes as many bits as a cluster has sectors, and one more.
  const offsetBits = 30 - (Math.log2(clusterSize) - 8)
  const descriptor = high & 0x3f_ff_ff_ff
  const offset = (descriptor & (2 ** offsetBits - 1)) * 2 ** 32 + low
  const sectors = (descriptor >>> offsetBits) + 1
  return { offset, length: sectors * SECTOR_SIZE - (offset % SECTOR_SIZE) }
}

/** Makes the L2 entry at byte `at` say that its cluster is compressed, and where it lies. */
export const writeSpan = (
  view: DataView,
  at: number,
  { offset, length }: CompressedSpan,
  clusterSize: number,
): void => {
  const offsetBits = 30 - (Math.log2(clusterSize) - 8)
  const more = Math.floor((offset + length - 1) / SECTOR_SIZE) - Math.floor(offset / SECTOR_SIZE)
  const high = compressedBit + more * 2 ** offsetBits + Math.floor(offset / 2 ** 32)
  view.setUint32(at, high)
  view.setUint32(at + 4, offset % 2 ** 32)
}

/**
 * How many compressed clusters can begin in a cluster of the image at most: deflate makes no more
 * than 1032 bytes of one, and a frame of Zstandard has at least 12 bytes.
 */
export const spansInCluster = (clusterSize: number, type: CompressionType): number =>
  type === 'zlib' ? 1033 : Math.ceil(clusterSize / 12)

/**
 * One cluster, whole.
 * @param bytes from its first byte on; what follows it in its last sector is passed over
 * @throws RangeError for what is not exactly one cluster; what zlib throws
 */
export const decompressCluster = (
  bytes: Uint8Array,
  clusterSize: number,
  type: CompressionType,
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const done = (error: Error | null, content: Uint8Array): void => {
      if (error !== null) return reject(error)
      receivedBytes(content.length)
      if (content.length === clusterSize) return resolve(content)
      return reject(
        new RangeError(`it holds ${content.length} bytes, a cluster has ${clusterSize}`),
      )
    }
    const limits = { maxOutputLength: clusterSize, chunkSize: clusterSize }
    if (type === 'zlib') inflateRaw(bytes, limits, done)
    else {
      const params = { [zlibConstants.ZSTD_d_windowLogMax]: zstdWindowLog }
      zstdDecompress(frameOf(bytes), { ...limits, params }, done)
    }
  })

/** Clusters of a stream, many under way at once: see Decompressor. */
export const createClusterDecompressor = (
  clusterSize: number,
  type: CompressionType,
): Decompressor => {
  const decompressor = createDecompressor(methods[type], clusterSize)
  return {
    ...decompressor,
    async begin(bytes) {
      const decompressed = await decompressor.begin(type === 'zlib' ? bytes : frameOf(bytes))
      requireCluster(decompressed.content, clusterSize)
      return decompressed
    },
  }
}

const methods = { zlib: 'inflateRaw', zstd: 'zstd' } as const

/** Without what follows it in its last sector. */
const frameOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, zstdFrameLength(bytes))

/** @throws RangeError for what is not exactly one cluster */
const requireCluster = ({ length }: Uint8Array, clusterSize: number): void => {
  if (length === clusterSize) return
  throw new RangeError(`it holds ${length} bytes, a cluster has ${clusterSize}`)
}
