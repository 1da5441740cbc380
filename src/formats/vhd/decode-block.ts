// One block of a stream as writes. A piece of it is read into one buffer, whatever its bitmap says;
// the written stretches of the piece then share the buffer.

import type { DiskWrite } from '../../disk/disk.ts'
import type { PooledBuffer } from '../../image/buffer-pool.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { alignDown, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext } from '../format.ts'
import type { BitRun } from './sector-bitmap.ts'
import { bitRuns } from './sector-bitmap.ts'

interface StreamBlock {
  readonly diskOffset: number
  /** Bytes of its data that lie inside the disk. */
  readonly length: number
  readonly bitmap: Uint8Array
  /**
   * In a delta a sector whose bit is clear is as it was; otherwise it is zeros, whatever stands
   * there.
   */
  readonly isDelta: boolean
  /** For messages. */
  readonly name: string
}

/** Reads the block's data up to the disk's end. */
export async function* readBlockWrites(
  stream: ForwardReader,
  { diskOffset, length, bitmap, isDelta, name }: StreamBlock,
  { buffers, signal }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  for (let start = 0; start < length; start += pieceSize) {
    const pieceLength = Math.min(pieceSize, length - start)
    const from = start / SECTOR_SIZE
    const runs = [...bitRuns(bitmap, from, from + pieceLength / SECTOR_SIZE)]
    if (!isDelta) {
      for (const run of runs) if (!run.isSet) yield zeroWrite(diskOffset, run)
    }
    const written = runs.filter((run) => run.isSet)
    if (written.length === 0) {
      await stream.skip(pieceLength, name)
      continue
    }
    const buffer = await buffers.take(signal)
    const piece = buffer.bytes.subarray(0, pieceLength)
    await stream.read(piece, name).catch((error: unknown) => {
      buffer.release()
      throw error
    })
    const release = releaseAfter(buffer, written.length)
    for (const run of written) {
      const bytes = piece.subarray(run.from * SECTOR_SIZE - start, run.to * SECTOR_SIZE - start)
      yield { kind: 'data', offset: diskOffset + run.from * SECTOR_SIZE, bytes, release: release() }
    }
  }
}

const zeroWrite = (diskOffset: number, { from, to }: BitRun): DiskWrite => ({
  kind: 'zero',
  offset: diskOffset + from * SECTOR_SIZE,
  length: (to - from) * SECTOR_SIZE,
})

/** Makes `count` release functions; when each has been called, the buffer goes back. */
const releaseAfter = (buffer: PooledBuffer, count: number): (() => () => void) => {
  let waiting = count
  return () => {
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      waiting -= 1
      if (waiting === 0) buffer.release()
    }
  }
}
