// The thin CLI protocol on a socket: exact reads, whole messages, bounds. Used by the server's
// session and by the client program.

import type { Duplex } from 'node:stream'
import type { Message } from './protocol.ts'
import {
  checkPreamble,
  decodeLength,
  decodeMessage,
  encodeMessage,
  encodePreamble,
  preambleLength,
  prefixLength,
} from './protocol.ts'

/** The connection has ended before what was waited for. */
export class ConnectionLostError extends Error {}

export interface MessageStream {
  /** Bytes that have come so far. */
  readonly received: number
  /** Reads exactly that many bytes. One read at a time. @throws ConnectionLostError */
  readBytes(length: number): Promise<Buffer>
  /** The next bytes, at most `maximum` of them. @throws ConnectionLostError */
  readSome(maximum: number): Promise<Buffer>
  /** @throws ConnectionLostError, ProtocolError */
  receivePreamble(): Promise<void>
  /** @throws ConnectionLostError, ProtocolError */
  receive(): Promise<Message>
  sendPreamble(): void
  send(message: Message): void
  /** Raw bytes, after a `chunk`; returns when the socket wants more. */
  sendBytes(bytes: Uint8Array): Promise<void>
}

/** @param maximum bytes in a received message */
export const createMessageStream = (socket: Duplex, maximum: number): MessageStream => {
  const chunks: AsyncIterator<Buffer> = socket.iterator({ destroyOnReturn: false })
  let rest: Buffer = Buffer.alloc(0)
  let received = 0

  /** When all before has been taken. */
  const more = async (): Promise<void> => {
    let next: IteratorResult<Buffer>
    try {
      next = await chunks.next()
    } catch (error) {
      throw new ConnectionLostError('The connection broke', { cause: error })
    }
    if (next.done === true) throw new ConnectionLostError('The connection ended')
    received += next.value.length
    rest = next.value
  }
  const take = (length: number): Buffer => {
    const bytes = rest.subarray(0, length)
    rest = rest.subarray(length)
    return bytes
  }
  const readBytes = async (length: number): Promise<Buffer> => {
    if (rest.length >= length) return take(length)
    // Copied as it comes: a body cut in single bytes costs no more than any other.
    const bytes = Buffer.allocUnsafe(length)
    for (let filled = 0; filled < length;) {
      if (rest.length === 0) await more()
      filled += take(Math.min(rest.length, length - filled)).copy(bytes, filled)
    }
    return bytes
  }
  return {
    get received() {
      return received
    },
    readBytes,
    async readSome(maximum) {
      if (rest.length === 0) await more()
      return take(Math.min(maximum, rest.length))
    },
    receivePreamble: async () => checkPreamble(await readBytes(preambleLength)),
    async receive() {
      const length = decodeLength(await readBytes(prefixLength), maximum)
      return decodeMessage(await readBytes(length))
    },
    sendPreamble: () => void socket.write(encodePreamble()),
    send: (message) => void socket.write(encodeMessage(message)),
    sendBytes: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => {
          if (error) reject(new ConnectionLostError('The connection broke', { cause: error }))
          else resolve()
        })
      }),
  }
}
