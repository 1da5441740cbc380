// A client of the thin CLI protocol, message by message, and a server for it whose XenAPI is a
// table of functions.

import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { createMessageStream } from '../../src/cli/message-stream.ts'
import type { Message } from '../../src/cli/protocol.ts'
import type { ApiCaller, CliDependencies } from '../../src/cli/session.ts'
import { createCliRoute } from '../../src/cli/session.ts'
import { AppError } from '../../src/errors.ts'
import { placeFront } from '../../src/net/front.ts'
import { createHttpServer } from '../../src/net/http-server.ts'
import { within } from './wait.ts'

export type FakeApi = Readonly<Record<string, (...params: never[]) => unknown>>

export type CliOptions = Partial<Pick<CliDependencies, 'beginCalls' | 'pace' | 'stallLimit'>>

/**
 * A method gets its parameters and then the signal that ends its waiting; one that the table lacks
 * is unknown. Logins succeed with the password `pw`.
 */
export const startCliServer = async (methods: FakeApi = {}, options: CliOptions = {}) => {
  const calls: (readonly [method: string, ...params: unknown[]])[] = []
  const call = async (
    method: string,
    params: readonly unknown[],
    signal?: AbortSignal,
  ): Promise<unknown> => {
    calls.push([method, ...params])
    if (method === 'session.login_with_password') {
      if (params[1] !== 'pw') throw new AppError('SESSION_AUTHENTICATION_FAILED', [])
      return 'OpaqueRef:session'
    }
    if (method === 'session.logout') return ''
    const found = methods[method] as ((...params: unknown[]) => unknown) | undefined
    if (found === undefined) throw new AppError('MESSAGE_METHOD_UNKNOWN', [method])
    return found(...params.slice(1), signal)
  }
  return { calls, ...(await serveCli(call, options)) }
}

/** For calls of which none is large. */
const noWork = { hold() {}, leave() {}, release() {} }

/** A server of the thin CLI protocol whose XenAPI is the function. */
export const serveCli = async (call: ApiCaller, options: CliOptions = {}) => {
  const errors: unknown[] = []
  const server = createHttpServer((_incoming, outgoing) => void outgoing.end('node'))
  const front = placeFront(
    server,
    [
      createCliRoute({
        beginCalls: () => ({ call, work: noWork }),
        log: pino({ level: 'silent' }),
        ...options,
      }),
    ],
    {
      headTimeout: 60_000,
      onError: (error) => errors.push(error),
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
    front.closeAll()
  })
  const { port } = server.address() as AddressInfo
  return { port, errors, front, open: (...lines: string[]) => openCli(port, lines) }
}

/** Sends a command and exchanges preambles. */
export const openCli = async (port: number, lines: readonly string[]) => {
  const socket = connect({ port, host: '127.0.0.1' })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  const body = lines.join('\n')
  socket.write(
    `POST /cli HTTP/1.0\r\nUser-agent: xe\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  const stream = createMessageStream(socket, 1 << 20)
  await within('the preamble', stream.receivePreamble())
  stream.sendPreamble()
  const receive = (): Promise<Message> => within('a message', stream.receive())
  return {
    socket,
    send: (message: Message) => stream.send(message),
    receive,
    /** All that is left, to the exit. */
    async finish(): Promise<{ messages: Message[]; code: number }> {
      const messages: Message[] = []
      for (;;) {
        const message = await receive()
        if (message.kind === 'exit') return { messages, code: message.code }
        messages.push(message)
      }
    },
    /** What the user would see, and the exit code. */
    async shown(): Promise<{ out: string; err: string; code: number }> {
      const { messages, code } = await this.finish()
      const textOf = (kind: 'print' | 'printStderr', end: string): string =>
        messages.flatMap((message) => (message.kind === kind ? [message.text + end] : [])).join('')
      return { out: textOf('print', '\n'), err: textOf('printStderr', ''), code }
    },
  }
}

/** The fields of a task that commands look at. */
interface FakeRecord {
  readonly status: string
  readonly progress: number
  readonly result: string
  readonly error_info: readonly string[]
}

/** A task that a test moves, and the methods that make, watch and end it. */
export const createFakeTask = (ref: string) => {
  let record: FakeRecord = { status: 'pending', progress: 0, result: '', error_info: [] }
  let version = 1
  const waiting = new Set<() => void>()
  const changeOrEnd = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      waiting.add(resolve)
      signal.addEventListener('abort', () => resolve())
    })
  const methods = {
    'task.create': () => ref,
    'task.get_record': () => ({ ...record }),
    'task.cancel': () => '',
    'task.destroy': () => '',
    'event.from': async (_: string[], seen: string, _seconds: number, signal: AbortSignal) => {
      if (seen === String(version) && !signal.aborted) await changeOrEnd(signal)
      const token = String(version)
      const events = seen === token ? [] : [{ operation: 'mod', snapshot: { ...record } }]
      return { token, events, valid_ref_counts: {} }
    },
  }
  const move = (change: Partial<FakeRecord>): void => {
    record = { ...record, ...change }
    version += 1
    for (const wake of waiting) wake()
    waiting.clear()
  }
  return { methods, move }
}
