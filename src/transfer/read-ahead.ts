// Reads an image ahead, piece by piece, into recycled buffers: for whoever sends it.

import { throwIfAborted } from '../disk/disk.ts'
import type { ByteRange } from '../disk/extents.ts'
import type { PacedPool, PooledBuffer } from '../image/buffer-pool.ts'
import type { Image } from '../image/image.ts'
import type { Turn } from './turns.ts'

/** The number of pieces that are read ahead while others are sent. */
const readsAhead = 2

interface ReadOptions {
  readonly pool: PacedPool
  readonly turn: Turn
  readonly signal: AbortSignal
}

/** The pieces of `range` in order, each already read. */
export async function* readAhead(
  image: Image,
  { offset, length }: ByteRange,
  { pool, turn, signal }: ReadOptions,
): AsyncGenerator<PooledBuffer, void, undefined> {
  const reading: { piece: PooledBuffer; done: Promise<void> }[] = []
  const end = offset + length
  /** A buffer, once the client has taken what is in the others. */
  const taken = async (): Promise<PooledBuffer> => {
    turn.pause()
    const buffer = await pool.take(signal)
    await turn.take(signal)
    return buffer
  }
  try {
    for (let at = offset; at < end || reading.length > 0;) {
      while (at < end && reading.length < readsAhead) {
        throwIfAborted(signal)
        // What has been read can be sent while others are at work.
        const buffer = pool.tryTake() ?? (reading.length > 0 ? undefined : await taken())
        if (buffer === undefined) break
        const { bytes, release } = buffer
        const piece = { bytes: bytes.subarray(0, Math.min(bytes.length, end - at)), release }
        const others = turn.step(piece.bytes.length, signal)
        if (others !== undefined) await others
        const done = image.read(at, piece.bytes, signal)
        reading.push({ piece, done })
        // Reported when its turn comes; until then it must not count as unhandled.
        done.catch(() => {})
        at += piece.bytes.length
      }
      const next = reading.shift()!
      await next.done
      yield next.piece
    }
  } finally {
    await Promise.allSettled(reading.map(({ done }) => done))
  }
}
