// The path of texts whose length nobody knows beforehand: one piece at a time, as fast as the client takes
// them. Only a text that is whole is ended; any other breaks off with its connection.

import type { ServerResponse } from 'node:http'
import { throwIfAborted } from '../src/disk/disk.ts'
import { stallLimit } from './streaming.ts'

/**
 * Sends `pieces` as the body of `outgoing`, whose head has been written, and ends it.
 * @param signal aborted: the connection is destroyed and the reason thrown
 * @throws what the pieces threw; the connection has then been destroyed
 */
export const sendText = async (
  pieces: AsyncIterable<string>,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> => {
  outgoing.setTimeout(stallLimit, () => outgoing.destroy())
  try {
    for await (const piece of pieces) {
      throwIfAborted(signal)
      await written(outgoing, piece)
    }
    throwIfAborted(signal)
    await ended(outgoing)
  } catch (error) {
    outgoing.destroy()
    throw error
  }
}

/** Returns when the piece has been handed to the network, or the connection has closed. */
const written = (outgoing: ServerResponse, piece: string): Promise<void> =>
  untilClosed(outgoing, (done) => outgoing.write(piece, done))

const ended = (outgoing: ServerResponse): Promise<void> =>
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
