// The byte path of exports: reads ahead into recycled buffers and hands them to Node's response.
// No web stream, no copy. Every wait ends when the client leaves.

import type { ServerResponse } from 'node:http'
import { throwIfAborted } from '../src/disk/disk.ts'
import type { ByteRange } from '../src/disk/extents.ts'
import { AppError } from '../src/errors.ts'
import type { BufferPool, PooledBuffer } from '../src/image/buffer-pool.ts'
import { createBufferPool } from '../src/image/buffer-pool.ts'
import type { Image } from '../src/image/image.ts'
import { MiB } from '../src/units.ts'

/** Bytes read and written at a time, and how many such pieces a transfer holds. */
const pieceSize = MiB
const pieceCount = 4

/** How many pieces are being read while others are being sent. */
const readsAhead = 2

/** How long a client may take nothing at all before it counts as gone, in milliseconds. */
export const stallLimit = 15 * 60_000

interface SendOptions {
  /** Aborted: the connection is destroyed and the reason thrown. */
  signal: AbortSignal
  /** Called with the number of bytes that left. */
  onProgress: (bytes: number) => void
  /** Asked when all has been read, before the last piece is sent: a throw keeps the client from taking it as whole. */
  verify?: () => Promise<void>
}

/**
 * Sends `range` of `image` as the body of `outgoing`, whose head has been written, and ends it.
 * @returns `client-left` where the connection closed before the last byte
 * @throws what the image threw; the connection has then been destroyed, never ended as if whole
 */
export const sendImage = async (
  image: Image,
  range: ByteRange,
  outgoing: ServerResponse,
  { signal, onProgress, verify }: SendOptions,
): Promise<'complete' | 'client-left'> => {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  outgoing.once('error', () => gone.abort())
  // A client that left while the image was planned: its `close` has been and does not come again.
  if (outgoing.destroyed) gone.abort()
  outgoing.setTimeout(stallLimit, () => outgoing.destroy())
  const stop = AbortSignal.any([signal, gone.signal])
  const pool = createBufferPool(pieceCount, pieceSize)
  let unread = range.length
  try {
    for await (const { bytes, release } of readAhead(image, range, pool, stop)) {
      throwIfAborted(stop)
      unread -= bytes.length
      if (unread === 0) await verify?.()
      outgoing.write(bytes, (error) => {
        if (error === undefined || error === null) onProgress(bytes.length)
        release()
      })
    }
    await ended(outgoing, gone.signal)
    return gone.signal.aborted && !outgoing.writableFinished ? 'client-left' : 'complete'
  } catch (error) {
    const clientLeft = gone.signal.aborted && !signal.aborted
    outgoing.destroy()
    if (clientLeft) return 'client-left'
    throw error
  } finally {
    pool.close()
  }
}

/** Aborted when the connection closes: for work that comes before the first byte. */
export const leavingOf = (outgoing: ServerResponse): AbortSignal => {
  const left = new AbortController()
  const leave = (): void =>
    left.abort(
      new AppError('TASK_CANCELLED', [''], { message: 'The client left before the first byte' }),
    )
  outgoing.once('close', leave)
  if (outgoing.destroyed) leave()
  return left.signal
}

/** The pieces of `range` in order, each already read. */
async function* readAhead(
  image: Image,
  { offset, length }: ByteRange,
  pool: BufferPool,
  signal: AbortSignal,
): AsyncGenerator<PooledBuffer, void, undefined> {
  const reading: { piece: PooledBuffer; done: Promise<void> }[] = []
  const end = offset + length
  try {
    for (let at = offset; at < end || reading.length > 0;) {
      while (at < end && reading.length < readsAhead) {
        const { bytes, release } = await pool.take(signal)
        const piece = { bytes: bytes.subarray(0, Math.min(bytes.length, end - at)), release }
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

/** Ends the response; returns when all has left or the connection has closed. */
const ended = (outgoing: ServerResponse, gone: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    gone.addEventListener('abort', () => resolve(), { once: true })
    if (gone.aborted) resolve()
    outgoing.end(() => resolve())
  })
