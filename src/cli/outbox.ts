// What the server has to tell an xe: in order, and as fast as the client takes it. The socket never
// holds more than one piece, and a client that takes nothing is disconnected.

import type { Duplex } from 'node:stream'
import { KiB } from '../units.ts'
import type { Message } from './protocol.ts'
import { encodeMessage } from './protocol.ts'

export interface OutboxOptions {
  /** How long a client may take nothing of what waits for it, in milliseconds. */
  readonly stallLimit?: number
  /** Told of the bytes of each message that is to be sent. */
  readonly onQueued?: (bytes: number) => void
}

interface Outbox {
  send(message: Message): void
  /** Drops messages that have not been started, and accepts no more. */
  close(): void
  /** Returns when all has been handed to the network, or the connection has closed. */
  sent(): Promise<void>
}

const defaultStallLimit = 30_000

/**
 * Bytes that the socket gets at once: whoever takes so many within the limit is no stalled client.
 */
const pieceSize = 16 * KiB

export const createOutbox = (
  socket: Duplex,
  { stallLimit = defaultStallLimit, onQueued }: OutboxOptions = {},
): Outbox => {
  let queue: Buffer[] = []
  let isClosed = false
  let running: Promise<void> | undefined

  const isOver = (): boolean => isClosed || socket.destroyed
  const run = async (): Promise<void> => {
    while (queue.length > 0 && !isOver()) {
      const messages = queue
      queue = []
      for (const piece of piecesOf(messages)) {
        if (isOver()) break
        await written(socket, piece, stallLimit)
      }
    }
    queue = []
    running = undefined
  }
  return {
    send(message) {
      if (isOver()) return
      const bytes = encodeMessage(message)
      onQueued?.(bytes.length)
      queue.push(bytes)
      running ??= run()
    },
    close() {
      isClosed = true
    },
    sent: async () => running,
  }
}

function* piecesOf(messages: readonly Buffer[]): Generator<Buffer, void, undefined> {
  for (const message of messages) {
    for (let at = 0; at < message.length; at += pieceSize) {
      yield message.subarray(at, at + pieceSize)
    }
  }
}

/** Returns when the piece has been taken, or the connection has closed. */
const written = (socket: Duplex, piece: Buffer, stallLimit: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => socket.destroy(), stallLimit)
    const done = (): void => {
      clearTimeout(timer)
      socket.off('close', done)
      resolve()
    }
    socket.once('close', done)
    socket.write(piece, done)
  })
