// The bytes of an upload as they come: Node's request, or a bare socket, as chunks, with a deadline
// for clients that stop sending. What is done with them is the decoder's business; upload.ts
// answers.

import type { Readable } from 'node:stream'
import { AppError } from '../src/errors.ts'
import { receivedBytes } from '../src/image/young-garbage.ts'
import type { Turn } from '../src/transfer/turns.ts'
import { KiB } from '../src/units.ts'

/**
 * How many bytes must come while the client is waited for as long as it may be silent; less where
 * that is short.
 */
const leastBytes = 64 * KiB
const leastRate = KiB

/** What may wait here before the client is held back. */
const queueLimit = 512 * KiB

interface ReadBodyOptions {
  /** How long a client may send nothing at all, in milliseconds. */
  readonly stallTimeout: number
  /** Has a place; gives it up for as long as nothing comes. */
  readonly turn: Turn
}

/**
 * The body's chunks as they come. To be iterated once.
 * @throws StalledUploadError when the client stops sending; the stream's own error when the
 *   connection breaks
 */
export const readBody = (
  incoming: Readable,
  options: ReadBodyOptions,
): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]: () => iterate(incoming, options),
})

interface Reader {
  readonly stop: () => void
  /** Bytes received so far. */
  readonly received: () => number
}

/** The client sent nothing, or next to nothing, for too long: 408. */
export class StalledUploadError extends AppError {
  constructor(found: string) {
    super('VDI_IO_ERROR', [`Cannot read the upload: ${found}`])
  }
}

/** The current or last reader of a stream, so that a new reader can stop it. */
const readers = new WeakMap<Readable, Reader>()

/**
 * Ends the reading of a body that was left before its end; what comes from now on is the caller's.
 * @returns how many bytes have come, read or not
 */
export const stopReading = (incoming: Readable): number => {
  const reader = readers.get(incoming)
  reader?.stop()
  return reader?.received() ?? 0
}

// By hand: the stream's own iterator takes twice the time for each chunk, and another timer would
// be armed for each.
const iterate = (
  incoming: Readable,
  { stallTimeout, turn }: ReadBodyOptions,
): AsyncIterator<Uint8Array, undefined> => {
  const queue: Uint8Array[] = []
  const watch = createRateWatch(stallTimeout)
  let queued = 0
  let received = 0
  let isOver = false
  let failure: { readonly reason: unknown } | undefined
  let wake: (() => void) | undefined

  const onData = (chunk: Uint8Array): void => {
    queue.push(chunk)
    queued += chunk.length
    received += chunk.length
    receivedBytes(chunk.length)
    if (queued >= queueLimit) incoming.pause()
    wake?.()
  }
  const fail = (reason: unknown): void => {
    failure ??= { reason }
    clearTimeout(silence)
    wake?.()
  }
  const onEnd = (): void => {
    isOver = true
    clearTimeout(silence)
    wake?.()
  }
  // Without an end before it, the connection broke.
  const onClose = (): void => {
    if (!isOver) fail(incoming.errored ?? new Error('The connection was closed'))
  }
  const silence = setTimeout(() => {
    if (wake === undefined) return
    // The connection stays: the client is to be told.
    fail(
      new StalledUploadError(
        `no byte came for ${stallTimeout / 1000} s, after ${received} bytes; --stall-timeout sets how long`,
      ),
    )
  }, stallTimeout)
  const stop = (): void => {
    clearTimeout(silence)
    incoming.off('data', onData).off('end', onEnd).off('close', onClose)
    // A later error concerns nobody; without a listener it would end the process.
    incoming.off('error', fail).on('error', () => {})
    incoming.pause()
  }

  /** Waits for a chunk, the end or a failure: time that counts as the client's. */
  const more = async (): Promise<void> => {
    const started = performance.now()
    const before = received
    silence.refresh()
    incoming.resume()
    turn.pause()
    await new Promise<void>((resolve) => (wake = resolve))
    wake = undefined
    const waited = performance.now() - started
    await turn.take()
    if (failure === undefined) watch(received - before, waited, received)
  }

  readers.set(incoming, { stop, received: () => received })
  incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', fail)
  if (incoming.readableEnded) onEnd()
  else if (incoming.destroyed) onClose()

  return {
    async next() {
      while (queue.length === 0) {
        if (failure !== undefined) {
          stop()
          throw failure.reason
        }
        if (isOver) {
          stop()
          return { done: true, value: undefined }
        }
        try {
          await more()
        } catch (error) {
          stop()
          throw error
        }
      }
      const value = queue.shift()!
      queued -= value.length
      if (incoming.isPaused() && queued <= queueLimit / 2) incoming.resume()
      const others = turn.step(value.length)
      if (others !== undefined) await others
      return { done: false, value }
    },
    async return() {
      stop()
      return { done: true, value: undefined }
    },
  }
}

/**
 * The first `length` bytes.
 * @throws AppError VDI_IO_ERROR where the chunks end before
 */
export async function* exactly(
  length: number,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = length
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left)
    left -= Math.min(left, chunk.length)
    if (left === 0) return
  }
  const found = `the connection ended after ${length - left} of ${length} bytes`
  throw new AppError('VDI_IO_ERROR', [`Cannot read the upload: ${found}`])
}

/**
 * The chunks as far as they come: a connection that breaks is the end of the body, not a failure.
 */
export async function* untilCut(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks
  } catch (error) {
    if (error instanceof AppError) throw error
  }
}

/** Counts only the time spent waiting for the client: a slow disk of ours is not its fault. */
const createRateWatch = (stallTimeout: number) => {
  const least = Math.min(leastBytes, (leastRate * stallTimeout) / 1000)
  let waited = 0
  let bytes = 0
  return (length: number, milliseconds: number, received: number): void => {
    waited += milliseconds
    bytes += length
    if (waited < stallTimeout) return
    if (bytes < least) {
      const seconds = Math.round(waited / 1000)
      const found = `only ${bytes} bytes came in ${seconds} s, at least ${least} must, after ${received} bytes`
      throw new StalledUploadError(found)
    }
    waited = 0
    bytes = 0
  }
}
