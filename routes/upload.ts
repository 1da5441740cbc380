// The byte path of imports: Node's request as chunks, with a deadline for clients that stop sending,
// and the way a request is answered whose body may not have been read.

import type { IncomingMessage, ServerResponse } from 'node:http'
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
export async function* readBody(
  incoming: IncomingMessage,
): AsyncGenerator<Uint8Array, void, undefined> {
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

const withDeadline = async <T>(
  wait: Promise<T>,
  incoming: IncomingMessage,
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
  linger(incoming, () => outgoing.end())
}

/** Throws away what still comes of the body, for a while; then, or when it has ended, calls `done`. */
const linger = (incoming: IncomingMessage, done: () => void): void => {
  let thrownAway = 0
  const timer = setTimeout(() => incoming.destroy(), lingerTime)
  incoming.once('end', done)
  incoming.once('close', () => {
    clearTimeout(timer)
    done()
  })
  // The decoder's iterator still listens, and would keep the stream from flowing.
  incoming.removeAllListeners('readable')
  incoming.on('data', (chunk: Uint8Array) => {
    thrownAway += chunk.length
    if (thrownAway > lingerBytes) incoming.destroy()
  })
  incoming.on('error', () => {})
}
