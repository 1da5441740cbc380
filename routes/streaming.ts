// The byte path of exports: what was read ahead is handed to Node's response. No web stream, no
// copy. Every wait ends when the client leaves.

import type { ServerResponse } from 'node:http'
import { throwIfAborted } from '../src/disk/disk.ts'
import type { ByteRange } from '../src/disk/extents.ts'
import { AppError } from '../src/errors.ts'
import { createPacedPool } from '../src/image/buffer-pool.ts'
import type { Image } from '../src/image/image.ts'
import { readAhead } from '../src/transfer/read-ahead.ts'
import type { Turn } from '../src/transfer/turns.ts'

interface SendOptions {
  /** Aborted: the connection is destroyed and the reason thrown. */
  signal: AbortSignal
  /** Has a place; gives it up for as long as the client takes nothing. */
  turn: Turn
  /** How long a client may take nothing at all before it counts as gone, in milliseconds. */
  stallTimeout: number
  /** Called with the number of bytes that left. */
  onProgress: (bytes: number) => void
  /**
   * Asked when all has been read, before the last piece is sent: a throw keeps the client from
   * taking it as whole.
   */
  verify?: () => Promise<void>
}

/**
 * Sends `range` of `image` as the body of `outgoing`, whose head has been written, and ends it.
 * @returns `client-left` where the connection closed before the last byte
 * @throws what the image threw, VDI_IO_ERROR where the client stalled; the connection has then been
 *   destroyed, never ended as if whole
 */
export const sendImage = async (
  image: Image,
  range: ByteRange,
  outgoing: ServerResponse,
  { signal, turn, stallTimeout, onProgress, verify }: SendOptions,
): Promise<'complete' | 'client-left'> => {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  outgoing.once('error', () => gone.abort())
  // A client that left while the image was planned: its `close` has been and does not come again.
  if (outgoing.destroyed) gone.abort()
  const stall = watchStall(outgoing, turn, stallTimeout)
  const stop = AbortSignal.any([signal, gone.signal, stall])
  const pool = createPacedPool(() => turn.pausedTime)
  let unread = range.length
  try {
    for await (const { bytes, release } of readAhead(image, range, { pool, turn, signal: stop })) {
      throwIfAborted(stop)
      unread -= bytes.length
      if (unread === 0) await verify?.()
      outgoing.write(bytes, (error) => {
        if (error === undefined || error === null) onProgress(bytes.length)
        release()
      })
    }
    turn.pause()
    await ended(outgoing, stop)
    if (outgoing.writableFinished) return 'complete'
    throwIfAborted(stop)
    return 'client-left'
  } catch (error) {
    const clientLeft = gone.signal.aborted && !signal.aborted && !stall.aborted
    outgoing.destroy()
    if (clientLeft) return 'client-left'
    throw error
  } finally {
    pool.close()
  }
}

/**
 * Aborted when the client has taken nothing for so long. Storage of ours that is slow is not its
 * fault.
 */
const watchStall = (outgoing: ServerResponse, turn: Turn, stallTimeout: number): AbortSignal => {
  const stalled = new AbortController()
  outgoing.setTimeout(stallTimeout, () => {
    if (turn.pausedSince === undefined) return
    const found = `the client took nothing for ${stallTimeout / 1000} s`
    stalled.abort(new AppError('VDI_IO_ERROR', [`Cannot send the image: ${found}`]))
  })
  return stalled.signal
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

/** Ends the response; returns when all has left or the connection has closed. */
const ended = (outgoing: ServerResponse, gone: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    gone.addEventListener('abort', () => resolve(), { once: true })
    if (gone.aborted) resolve()
    outgoing.end(() => resolve())
  })
