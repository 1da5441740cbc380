// The clusters of a disk, compressed: several at once in the threads of libuv, given back in the
// order of the disk. The same bytes give the same bytes, each time in one process.

import { constants, deflateRaw, zstdCompress } from 'node:zlib'
import type { Disk } from '../../../disk/disk.ts'
import { throwIfAborted } from '../../../disk/disk.ts'
import type { UnitRuns } from '../../../disk/unit-runs.ts'
import { isZero } from '../../../disk/zero.ts'
import { receivedBytes } from '../../../image/young-garbage.ts'
import type { CompressionType } from '../constants.ts'
import { WRITTEN } from '../constants.ts'

const { clusterSize } = WRITTEN

/** Clusters that are read at once; the threads are few, and others read files in them. */
const clustersInBatch = 4
const batchesAtOnce = 2

export interface EncodedCluster {
  /** Of the guest. */
  readonly cluster: number
  /** `plain` where compression makes it no smaller. */
  readonly kind: 'compressed' | 'plain' | 'zero'
  /** Empty for `zero`. */
  readonly bytes: Uint8Array
}

interface CompressOptions {
  readonly compression: CompressionType
  readonly signal: AbortSignal | undefined
}

/** @param data the clusters that are read */
export async function* compressClusters(
  disk: Disk,
  data: UnitRuns,
  options: CompressOptions,
): AsyncGenerator<EncodedCluster, void, undefined> {
  const batches = batchesOf(data)
  const working: Promise<EncodedCluster[]>[] = []
  try {
    for (;;) {
      while (working.length < batchesAtOnce) {
        const { value: batch } = batches.next()
        if (batch === undefined) break
        const encoded = encodeBatch(disk, batch, options)
        // Reported when its turn comes; until then it must not count as unhandled.
        encoded.catch(() => {})
        working.push(encoded)
      }
      const next = working.shift()
      if (next === undefined) return
      yield* await next
    }
  } finally {
    await Promise.allSettled(working)
  }
}

interface Batch {
  readonly cluster: number
  readonly count: number
}

function* batchesOf(data: UnitRuns): Generator<Batch, undefined, undefined> {
  for (const { unit, length } of data.between(0, Number.MAX_SAFE_INTEGER)) {
    for (let done = 0; done < length; done += clustersInBatch) {
      yield { cluster: unit + done, count: Math.min(clustersInBatch, length - done) }
    }
  }
  return undefined
}

const encodeBatch = async (
  disk: Disk,
  { cluster, count }: Batch,
  { compression, signal }: CompressOptions,
): Promise<EncodedCluster[]> => {
  throwIfAborted(signal)
  const bytes = Buffer.allocUnsafeSlow(count * clusterSize)
  receivedBytes(bytes.length)
  const offset = cluster * clusterSize
  // The last cluster may end after the disk does: the rest of it is zeros.
  const present = Math.min(bytes.length, disk.size - offset)
  await disk.read(offset, bytes.subarray(0, present), signal)
  bytes.fill(0, present)
  return Promise.all(
    Array.from({ length: count }, (_, index) => {
      const content = bytes.subarray(index * clusterSize, (index + 1) * clusterSize)
      return encodeCluster(cluster + index, content, compression)
    }),
  )
}

const encodeCluster = async (
  cluster: number,
  content: Uint8Array,
  compression: CompressionType,
): Promise<EncodedCluster> => {
  if (isZero(content)) return { cluster, kind: 'zero', bytes: content.subarray(0, 0) }
  const bytes = await compressCluster(content, compression)
  if (bytes.length >= content.length) return { cluster, kind: 'plain', bytes: content }
  return { cluster, kind: 'compressed', bytes }
}

/** Tables as large as a cluster needs: setting up the usual ones takes longer than the rest. */
const zstdParams = {
  [constants.ZSTD_c_windowLog]: WRITTEN.clusterBits,
  [constants.ZSTD_c_hashLog]: WRITTEN.clusterBits - 1,
  [constants.ZSTD_c_chainLog]: WRITTEN.clusterBits - 1,
}

/** QCOW2, "Compressed Clusters": deflate with a window of 4 KiB and no header, or a frame. */
export const compressCluster = (
  content: Uint8Array,
  compression: CompressionType,
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const chunkSize = content.length
    const done = (error: Error | null, bytes: Uint8Array): void => {
      receivedBytes(chunkSize)
      if (error === null) resolve(bytes)
      else reject(error)
    }
    if (compression === 'zlib')
      deflateRaw(content, { chunkSize, windowBits: 12, memLevel: 9 }, done)
    else zstdCompress(content, { chunkSize, params: zstdParams, pledgedSrcSize: chunkSize }, done)
  })
