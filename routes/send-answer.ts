// The path of the answers to calls: small ones as Hono sends them, large ones piece by piece, as
// fast as the client takes them. A client that takes nothing is ended, and so is what its answer
// holds.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { ServerResponse } from 'node:http'
import type { Context } from 'hono'
import { KiB } from '../src/units.ts'
import type { Answer } from '../src/xenapi/rpc/answer.ts'
import type { NodeEnvironment } from './environment.ts'
import { ended, written } from './send-text.ts'

/** Bytes up to which an answer is handed over as a whole. */
const smallLimit = 128 * KiB

/** How long a client may take nothing of a large answer, in milliseconds. */
const answerStallLimit = 30_000

/**
 * @param headers beside the length
 * @param stallLimit for tests
 */
export const sendAnswer = async (
  c: Context<NodeEnvironment>,
  answer: Answer,
  headers: Readonly<Record<string, string>>,
  stallLimit = answerStallLimit,
): Promise<Response> => {
  try {
    if (answer.length <= smallLimit) {
      return c.body(Buffer.concat([...answer.pieces()]), 200, { ...headers })
    }
    const { outgoing } = c.env
    outgoing.writeHead(200, { ...headers, 'Content-Length': answer.length })
    outgoing.setTimeout(stallLimit, () => outgoing.destroy())
    await sendPieces(answer, outgoing)
    return RESPONSE_ALREADY_SENT
  } finally {
    answer.release()
  }
}

/** Returns when all has been handed to the network, or the connection has closed. */
const sendPieces = async (answer: Answer, outgoing: ServerResponse): Promise<void> => {
  try {
    for (const piece of answer.pieces()) {
      if (outgoing.destroyed) return
      await written(outgoing, piece)
    }
    await ended(outgoing)
  } catch (error) {
    // What is cut short must not look whole.
    outgoing.destroy()
    throw error
  }
}
