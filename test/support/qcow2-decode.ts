// Decodes a QCOW2 image and watches how: every write, what went through the spool, and whether all
// that was lent came back.

import type { DiskWrite } from '../../src/disk/disk.ts'
import { copyWrites } from '../../src/disk/copy-writes.ts'
import { createMemoryDisk } from '../../src/disk/memory-disk.ts'
import { ClusterDecoder } from '../../src/formats/qcow2/stream/cluster-decoder.ts'
import type { DecodeLimits } from '../../src/formats/qcow2/stream/decode-limits.ts'
import { defaultLimits } from '../../src/formats/qcow2/stream/decode-limits.ts'
import { parseHeader, readClusterSize } from '../../src/formats/qcow2/header/header.ts'
import { createBufferPool } from '../../src/image/buffer-pool.ts'
import type { BufferPool } from '../../src/image/buffer-pool.ts'
import { createForwardReader } from '../../src/image/forward-reader.ts'
import { createMemoryImage } from '../../src/image/memory-image.ts'
import { spoolOn } from '../../src/image/spool.ts'
import { cutInChunks } from './disks.ts'

/** A pool that knows how many of its buffers are out. */
export const createCountingPool = (count: number, bufferSize: number) => {
  const pool = createBufferPool(count, bufferSize)
  let lent = 0
  const counting: BufferPool = {
    bufferSize,
    close: () => pool.close(),
    async take(signal) {
      const { bytes, release } = await pool.take(signal)
      lent += 1
      let isLent = true
      return {
        bytes,
        release: () => {
          if (isLent) lent -= 1
          isLent = false
          release()
        },
      }
    },
  }
  return { pool: counting, lent: () => lent }
}

/** A spool in memory that counts. `onAppend` may fail. */
export const createCountingSpool = (onAppend?: () => Promise<void>) => {
  const counts = { opened: 0, closed: 0, appended: 0 }
  const open = async () => {
    counts.opened += 1
    const spool = spoolOn(createMemoryImage())
    return {
      async append(source: Uint8Array, signal?: AbortSignal) {
        await onAppend?.()
        counts.appended += source.length
        return spool.append(source, signal)
      },
      appendZeros: (length: number) => spool.appendZeros(length),
      read: (offset: number, target: Uint8Array, signal?: AbortSignal) =>
        spool.read(offset, target, signal),
      async close() {
        counts.closed += 1
        await spool.close()
      },
    }
  }
  return { open, counts }
}

/**
 * All writes of the image, and the disk they make. Throws where a buffer was not given back, or a
 * spool was opened twice or left open, whether the image could be decoded or not.
 */
export const decodeWatched = async (
  bytes: Uint8Array,
  streamLength: number | undefined,
  limits: DecodeLimits = defaultLimits,
  bufferSize = 64 * 1024,
  onAppend?: () => Promise<void>,
) => {
  const { pool, lent } = createCountingPool(2, bufferSize)
  const spool = createCountingSpool(onAppend)
  const writes: DiskWrite[] = []
  const attempt = async () => {
    const stream = createForwardReader(cutInChunks(bytes, [511, 8192, 70_000]))
    const cluster = new Uint8Array(readClusterSizeOf(bytes))
    await stream.read(cluster, 'Cannot decode qcow2: header')
    const header = parseHeader(cluster, streamLength, 'Cannot decode qcow2')
    const context = {
      buffers: pool,
      openSpool: spool.open,
      ...(streamLength === undefined ? {} : { streamLength }),
    }
    const decoder = new ClusterDecoder(stream, header, context, 'Cannot decode qcow2', limits)
    const disk = createMemoryDisk(header.virtualSize)
    let closedAtLast = 0
    const onWrite = (): void => {
      closedAtLast = spool.counts.closed
    }
    await copyWrites(keep(decoder.writes(), writes, onWrite), disk)
    const spooled = spool.counts.appended
    return { disk, writes, read: stream.offset, spooled, isSpoolGoneAtLastWrite: closedAtLast > 0 }
  }
  const [result] = await Promise.allSettled([attempt()])
  const { opened, closed } = spool.counts
  if (opened > 1 || closed !== opened) throw new Error(`Spool opened ${opened}, closed ${closed}`)
  if (lent() > 0) throw new Error(`${lent()} buffers were not given back`)
  if (result.status === 'rejected') throw result.reason
  return result.value
}

const readClusterSizeOf = (bytes: Uint8Array): number =>
  bytes.length < 512 ? 512 : readClusterSize(bytes, 'Cannot decode qcow2')

async function* keep(
  writes: AsyncIterable<DiskWrite>,
  kept: DiskWrite[],
  onWrite: () => void,
): AsyncGenerator<DiskWrite, void, undefined> {
  for await (const write of writes) {
    kept.push(write)
    onWrite()
    yield write
  }
}
