// The answer to an upload, and what happens to a body that is not wanted.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { MiB } from '../src/units.ts'
import type { ErrorReply } from './error-response.ts'
import { stopReading } from './read-body.ts'

/**
 * 1 PiB: what Orchestra announces when it does not know. It cuts the connection after the last
 * byte.
 */
export const unknownLength = 2 ** 50

/**
 * Whether an upload without a byte may be Orchestra's question whether it would be taken; xe asks
 * none.
 */
export const mayBeQuestion = (length: number | undefined, httpVersion: string): boolean =>
  (length === 0 || length === unknownLength) && httpVersion !== '1.0'

/**
 * What is read and thrown away after an early answer, so that the client sees it before the
 * connection closes.
 */
const lingerBytes = 64 * MiB
const lingerTime = 10_000

/** How long a client may pause in a body that is discarded, in milliseconds. */
const silenceLimit = 120_000

/** Headers of whatever answer follows. */
export const setHeaders = (
  outgoing: ServerResponse,
  headers: Readonly<Record<string, string>>,
): void => {
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value)
}

/**
 * Answers; where the body was not read to its end, closes the connection once the client has had
 * time to see the answer.
 */
export const answer = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  reply: ErrorReply,
): void => {
  const { status, headers, body } = reply
  const reason = (status >= 400 ? reply.reason : undefined) ?? STATUS_CODES[status] ?? ''
  const bodyIsRead = incoming.complete || incoming.readableEnded
  outgoing.writeHead(status, reason, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(bodyIsRead ? {} : { connection: 'close' }),
  })
  if (bodyIsRead) {
    outgoing.end(body)
    return
  }
  // Node closes the socket as soon as this answer ends; a body still on its way would then reset
  // the connection, and the client might never see the answer.
  outgoing.write(body)
  void linger(incoming).then(() => outgoing.end())
}

/**
 * Breaks a connection on which a head without a length has gone out: closed in order, its answer
 * would look whole. Over TLS the missing close_notify says so, on a plain socket the reset.
 */
export const breakOff = (socket: Socket): void => {
  if (socket instanceof TLSSocket) socket.destroy()
  else socket.resetAndDestroy()
}

/**
 * Throws away what still comes of the body, for a while; returns when it has ended, or its
 * connection has.
 */
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

/**
 * Throws away the rest of the body, however long it is; returns when it has ended, its connection
 * has, or nothing comes.
 * @param length of the body, where the stream goes on behind it: its client waits for the answer
 */
export const drain = (incoming: Readable, length = Infinity): Promise<void> => {
  const timer = setTimeout(() => incoming.destroy(), silenceLimit)
  const all = Promise.withResolvers<void>()
  let left = length
  const pass = (count: number): void => {
    left -= count
    timer.refresh()
    if (left <= 0) all.resolve()
  }
  pass(throwAway(incoming, pass))
  return Promise.race([endOf(incoming), all.promise]).finally(() => clearTimeout(timer))
}

const endOf = (incoming: Readable): Promise<void> =>
  new Promise((resolve) => {
    if (incoming.readableEnded || incoming.destroyed) resolve()
    incoming.once('end', resolve)
    incoming.once('close', resolve)
  })

/** @returns how many bytes had come before */
const throwAway = (incoming: Readable, onBytes: (length: number) => void): number => {
  const before = stopReading(incoming)
  incoming.on('error', () => {})
  incoming.on('data', (chunk: Uint8Array) => onBytes(chunk.length))
  // The previous reader has paused it.
  incoming.resume()
  return before
}
