// The xe at the other end of a session: takes messages, answers those that ask for it, sends
// heartbeats, and may be gone at any moment.

import type { Duplex } from 'node:stream'
import type { MessageStream } from './message-stream.ts'
import type { OutboxOptions } from './outbox.ts'
import { createOutbox } from './outbox.ts'
import type { Message } from './protocol.ts'
import { ProtocolError } from './protocol.ts'

/** Of a line that a client sends, in bytes. */
const longestLine = 4096

export interface CliClient {
  /** In the order of the calls, as fast as the client takes it. */
  send(message: Message): void
  /** Returns when all has been sent, or the client has gone. */
  sent(): Promise<void>
  /**
   * The client's answer to the message that asks for one; heartbeats in between are passed over.
   */
  response(): Promise<'ok' | 'failed'>
  /** Asks for a line of the client's standard input; empty where that has ended. */
  readLine(): Promise<string>
  /**
   * Aborted when the connection has ended or the client has broken the protocol; the reason tells.
   */
  readonly gone: AbortSignal
}

/**
 * Reads all that the client sends from now on, so that its end is seen while a command runs.
 * @param socket that of `stream`
 */
export const createCliClient = (
  stream: MessageStream,
  socket: Duplex,
  options?: OutboxOptions,
): CliClient => {
  const outbox = createOutbox(socket, options)
  const abort = new AbortController()
  const answers: ('ok' | 'failed')[] = []
  const lines: string[] = []
  let isPrompted = false
  let wake = (): void => {}

  const receiveLine = async (length: number): Promise<string> => {
    if (length < 0 || length > longestLine) {
      throw new ProtocolError(`A line of ${length} bytes, the limit is ${longestLine}`)
    }
    const line = (await stream.readBytes(length)).toString('utf8')
    const { kind } = await stream.receive()
    if (kind !== 'end') throw new ProtocolError(`The client sent ${kind} in the middle of a line`)
    return line
  }

  const next = async <T>(queue: T[]): Promise<T> => {
    for (;;) {
      const first = queue.shift()
      if (first !== undefined) return first
      abort.signal.throwIfAborted()
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }

  const listen = async (): Promise<never> => {
    for (;;) {
      const message = await stream.receive()
      if (message.kind === 'wait') continue
      if (message.kind === 'chunk' && isPrompted) {
        isPrompted = false
        lines.push(await receiveLine(message.length))
        wake()
        continue
      }
      if (message.kind !== 'ok' && message.kind !== 'failed') {
        throw new ProtocolError(`The client sent ${message.kind}, which nobody asked for`)
      }
      // One answer at a time is asked for.
      if (answers.length > 0) throw new ProtocolError('The client answered twice')
      answers.push(message.kind)
      wake()
    }
  }
  listen().catch((error: unknown) => {
    outbox.close()
    abort.abort(error)
    wake()
  })

  return {
    send: (message) => outbox.send(message),
    sent: () => outbox.sent(),
    response: () => next(answers),
    async readLine() {
      isPrompted = true
      outbox.send({ kind: 'prompt' })
      return next(lines)
    },
    gone: abort.signal,
  }
}
