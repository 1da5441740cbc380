// The byte path of imports: Node's request (or a bare socket) as chunks, with a deadline for clients that
// stop sending, and what becomes of a body that nobody wants.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { AppError } from '../src/errors.ts'
import { KiB, MiB } from '../src/units.ts'
import type { ErrorReply } from './error-response.ts'

/** How long a client may send nothing at all, in milliseconds. */
const silenceLimit = 120_000

/** The least that a client must send, in bytes a second, averaged over this many seconds of waiting for it. */
const minimumRate = KiB
const rateWindow = 60

/** What is read and thrown away after an early answer, so that the client sees it before the connection closes. */
const lingerBytes = 64 * MiB
const lingerTime = 10_000

/**
 * The body's chunks as they come.
 * @throws AppError VDI_IO_ERROR when the client stops sending or the connection breaks
 */
export async function* readBody(incoming: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks: AsyncIterator<Uint8Array> = incoming[Symbol.asyncIterator]()
  const watch = createRateWatch()
  let received = 0
  for (;;) {
    const started = performance.now()
    const next = await withDeadline(chunks.next(), incoming, received)
    if (next.done === true) return
    received += next.value.length
    watch(next.value.length, performance.now() - started, received)
    yield next.value
  }
}

/** The chunks as far as they come: a connection that breaks is the end of the body, not a failure. */
export async function* untilCut(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks
  } catch (error) {
    if (error instanceof AppError) throw error
  }
}

const withDeadline = async <T>(
  wait: Promise<T>,
  incoming: Readable,
  received: number,
): Promise<T> => {
  const timer = setTimeout(() => {
    const found = `no byte came for ${silenceLimit / 1000} s, after ${received} bytes`
    incoming.destroy(new AppError('VDI_IO_ERROR', [`Cannot read the upload: ${found}`]))
  }, silenceLimit)
  try {
    return await wait
  } finally {
    clearTimeout(timer)
  }
}

/** Counts only the time spent waiting for the client: a slow disk of ours is not its fault. */
const createRateWatch = () => {
  let waited = 0
  let bytes = 0
  return (length: number, milliseconds: number, received: number): void => {
    waited += milliseconds
    bytes += length
    if (waited < rateWindow * 1000) return
    const rate = Math.floor((bytes * 1000) / waited)
    if (rate < minimumRate) {
      const found = `only ${rate} bytes a second came, at least ${minimumRate} must, after ${received} bytes`
      throw new AppError('VDI_IO_ERROR', [`Cannot read the upload: ${found}`])
    }
    waited = 0
    bytes = 0
  }
}

/** Answers; where the body was not read to its end, closes the connection once the client has had time to see the answer. */
export const answer = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  reply: ErrorReply,
): void => {
  const { status, headers, body } = reply
  const bodyIsRead = incoming.complete || incoming.readableEnded
  outgoing.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(bodyIsRead ? {} : { connection: 'close' }),
  })
  if (bodyIsRead) {
    outgoing.end(body)
    return
  }
  // Node closes the socket as soon as this answer ends; a body still on its way would then reset the
  // connection, and the client might never see the answer.
  outgoing.write(body)
  void linger(incoming).then(() => outgoing.end())
}

/** Throws away what still comes of the body, for a while; returns when it has ended, or its connection has. */
export const linger = (incoming: Readable): Promise<void> => {
  let thrownAway = 0
  const timer = setTimeout(() => incoming.destroy(), lingerTime)
  const ended = endOf(incoming).finally(() => clearTimeout(timer))
  throwAway(incoming, (length) => {
    thrownAway += length
    if (thrownAway > lingerBytes) incoming.destroy()
  })
  return ended
}

/** Throws away the rest of the body, however long it is; returns when it has ended, its connection has, or nothing comes. */
export const drain = (incoming: Readable): Promise<void> => {
  const timer = setTimeout(() => incoming.destroy(), silenceLimit)
  const ended = endOf(incoming).finally(() => clearTimeout(timer))
  throwAway(incoming, () => timer.refresh())
  return ended
}

const endOf = (incoming: Readable): Promise<void> =>
  new Promise((resolve) => {
    if (incoming.readableEnded || incoming.destroyed) resolve()
    incoming.once('end', resolve)
    incoming.once('close', resolve)
  })

const throwAway = (incoming: Readable, onBytes: (length: number) => void): void => {
  // The decoder's iterator still listens, and would keep the stream from flowing.
  incoming.removeAllListeners('readable')
  incoming.on('error', () => {})
  incoming.on('data', (chunk: Uint8Array) => onBytes(chunk.length))
}
