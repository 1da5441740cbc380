// The path of texts whose length nobody knows beforehand: one piece at a time, as fast as the
// client takes them. Only a text that is whole is ended; any other breaks off with its connection.

import type { ServerResponse } from 'node:http'
import { throwIfAborted } from '../src/disk/disk.ts'
import type { Turn } from '../src/transfer/turns.ts'

interface SendTextOptions {
  /** Aborted: the connection is destroyed and the reason thrown. */
  readonly signal: AbortSignal
  /** Has a place; gives it up for as long as the client takes nothing. */
  readonly turn: Turn
  /** How long a client may take nothing at all before it counts as gone, in milliseconds. */
  readonly stallTimeout: number
}

/**
 * Sends `pieces` as the body of `outgoing`, whose head has been written, and ends it.
 * @throws what the pieces threw; the connection has then been destroyed
 */
export const sendText = async (
  pieces: AsyncIterable<string>,
  outgoing: ServerResponse,
  { signal, turn, stallTimeout }: SendTextOptions,
): Promise<void> => {
  outgoing.setTimeout(stallTimeout, () => {
    if (turn.pausedSince !== undefined) outgoing.destroy()
  })
  try {
    for await (const piece of pieces) {
      throwIfAborted(signal)
      turn.pause()
      await written(outgoing, piece)
      await turn.take(signal)
    }
    throwIfAborted(signal)
    turn.pause()
    await ended(outgoing)
  } catch (error) {
    outgoing.destroy()
    throw error
  }
}

/** Returns when the piece has been handed to the network, or the connection has closed. */
export const written = (outgoing: ServerResponse, piece: string | Uint8Array): Promise<void> =>
  untilClosed(outgoing, (done) => outgoing.write(piece, done))

/** The same for the end of the body. */
export const ended = (outgoing: ServerResponse): Promise<void> =>
  untilClosed(outgoing, (done) => outgoing.end(done))

const untilClosed = (
  outgoing: ServerResponse,
  start: (done: () => void) => unknown,
): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('close', done)
      resolve()
    }
    if (outgoing.destroyed) return resolve()
    outgoing.once('close', done)
    start(done)
  })
