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
import { MiB } from '../src/units.ts'

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
  options: SendOptions,
): Promise<'complete' | 'client-left'> => {
  const { turn, onProgress, verify } = options
  const client = watchClient(outgoing, options)
  const { stop } = client
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
    return await client.end()
  } catch (error) {
    const hasLeft = client.hasLeft()
    outgoing.destroy()
    if (hasLeft) return 'client-left'
    throw error
  } finally {
    pool.close()
  }
}

interface SendChunksOptions extends SendOptions {
  /** Writes the head, once the first chunk is there: what fails before can still be refused. */
  writeHead: () => void
}

/** Bytes that are handed to the connection before it is waited for. */
const unsentLimit = MiB

/**
 * Sends what `chunksOf` yields as the body of `outgoing`, in chunks, and ends it.
 * @param chunksOf given the signal that ends it
 * @returns as sendImage
 * @throws as sendImage; what is thrown before the head was written leaves the connection as it is
 */
export const sendChunks = async (
  chunksOf: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  outgoing: ServerResponse,
  options: SendChunksOptions,
): Promise<'complete' | 'client-left'> => {
  const { turn, onProgress, verify, writeHead } = options
  const client = watchClient(outgoing, options)
  const { stop } = client
  let unsent = 0
  let wake = (): void => {}
  stop.addEventListener('abort', () => wake(), { once: true })
  try {
    throwIfAborted(stop)
    for await (const chunk of chunksOf(stop)) {
      throwIfAborted(stop)
      if (!outgoing.headersSent) writeHead()
      unsent += chunk.length
      outgoing.write(chunk, (error) => {
        unsent -= chunk.length
        if (error === undefined || error === null) onProgress(chunk.length)
        wake()
      })
      if (unsent < unsentLimit) continue
      turn.pause()
      while (unsent >= unsentLimit && !stop.aborted) {
        await new Promise<void>((resolve) => (wake = resolve))
      }
      await turn.take(stop)
    }
    throwIfAborted(stop)
    // A client takes it as whole only when the last, empty chunk has come.
    await verify?.()
    if (!outgoing.headersSent) writeHead()
    return await client.end()
  } catch (error) {
    const hasLeft = client.hasLeft()
    if (outgoing.headersSent) outgoing.destroy()
    if (hasLeft) return 'client-left'
    throw error
  }
}

interface WatchedClient {
  /** Aborted when it has left, has stalled, or the transfer is ended. */
  readonly stop: AbortSignal
  /** Whether it left of itself. */
  hasLeft(): boolean
  /** Ends the response; returns or throws when all has left or the connection has closed. */
  end(): Promise<'complete' | 'client-left'>
}

const watchClient = (
  outgoing: ServerResponse,
  { signal, turn, stallTimeout }: SendOptions,
): WatchedClient => {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  outgoing.once('error', () => gone.abort())
  // A client that left while the image was planned: its `close` has been and does not come again.
  if (outgoing.destroyed) gone.abort()
  const stall = watchStall(outgoing, turn, stallTimeout)
  const stop = AbortSignal.any([signal, gone.signal, stall])
  return {
    stop,
    hasLeft: () => gone.signal.aborted && !signal.aborted && !stall.aborted,
    async end() {
      turn.pause()
      await ended(outgoing, stop)
      if (outgoing.writableFinished) return 'complete'
      throwIfAborted(stop)
      return 'client-left'
    },
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
