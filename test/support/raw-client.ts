// A client on a bare socket: sends bytes as they are told, and shows what comes back.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { within } from './wait.ts'

export interface RawClient {
  readonly socket: Socket
  send(bytes: string | Uint8Array): void
  /** Waits until `pattern` is in what has come so far; all of that, as latin1. */
  until(pattern: RegExp): Promise<string>
  /** Waits until the server has ended or cut the connection; all that came. */
  readonly closed: Promise<string>
}

export const connectRaw = async (port: number, host = '127.0.0.1'): Promise<RawClient> => {
  const socket = connect({ port, host, allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  let received = ''
  let look = (): void => {}
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    look()
  })
  const closed = new Promise<string>((resolve) => {
    socket.once('end', () => resolve(received))
    socket.once('close', () => resolve(received))
  })
  await within(
    'the connection',
    new Promise<void>((resolve) => socket.once('connect', () => resolve())),
  )
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    until: (pattern) =>
      within(
        `${String(pattern)} from the server`,
        new Promise((resolve, reject) => {
          look = () => {
            if (pattern.test(received)) resolve(received)
          }
          look()
          void closed.then(() => reject(new Error(`The server ended with: ${received}`)))
        }),
      ),
    get closed() {
      return within('the server to end the connection', closed)
    },
  }
}
