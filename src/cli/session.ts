// The server's side of xe: `POST /cli` on a bare socket, as a route of the socket front. Reads the
// command, runs it with the calls of XenAPI as whoever asks, and always ends with an exit code.

import type { Socket } from 'node:net'
import { AppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { BodyPace } from '../net/body-pace.ts'
import { watchPace } from '../net/body-pace.ts'
import type { RawRoute } from '../net/front.ts'
import type { RequestHead } from '../net/request-head.ts'
import { KiB } from '../units.ts'
import { createCliClient } from './cli-client.ts'
import type { CliClient } from './cli-client.ts'
import { CliError, errorMessages, TaskFailedError, usageHint } from './cli-error.ts'
import type { CommandLine } from './command-line.ts'
import { createParams, parseCommandLine } from './command-line.ts'
import type { Command, CommandContext } from './commands/command.ts'
import { commands } from './commands/commands.ts'
import { printHelp } from './help.ts'
import type { MessageStream } from './message-stream.ts'
import { ConnectionLostError, createMessageStream } from './message-stream.ts'
import { createMinimalPrinter, createPrinter } from './printer.ts'
import { ProtocolError } from './protocol.ts'
import { shownWarnings } from './unknown-names.ts'

/**
 * Makes a call of XenAPI, the session first.
 * @param signal ends a call that waits
 * @throws AppError
 */
export type ApiCaller = (
  method: string,
  params: readonly unknown[],
  signal?: AbortSignal,
) => Promise<unknown>

/** What a command and its output take of the room for large answers. */
interface CommandWork {
  /** Counts bytes that are held until `release`. */
  hold(bytes: number): void
  /** Nothing large is being made: others may. */
  leave(): void
  /** All has been sent, or never will be. */
  release(): void
}

/** The calls of one command. */
interface CommandCalls {
  readonly call: ApiCaller
  readonly work: CommandWork
}

export interface CliDependencies {
  /** Begins a command of the client; `gone` is aborted when the client has left. */
  readonly beginCalls: (socket: Socket, gone: AbortSignal) => CommandCalls
  readonly log: Logger
  /** See CommandContext. */
  readonly authorities?: string | undefined
  /** How slowly a command may come; default: as for calls. */
  readonly pace?: BodyPace
  /**
   * How long a client may take nothing of what it is told, in milliseconds; default: that of
   * outbox.ts.
   */
  readonly stallLimit?: number
}

const maximumBody = 200 * KiB

/** Of what a client sends within a session: answers and heartbeats. */
const maximumMessage = 64 * KiB

/** A route for the socket front. */
export const createCliRoute = (dependencies: CliDependencies): RawRoute => ({
  method: 'POST',
  path: '/cli',
  takes: () => true,
  handle: (head, socket) => handleCli(dependencies, head, socket),
})

const handleCli = async (
  dependencies: CliDependencies,
  head: RequestHead,
  socket: Socket,
): Promise<void> => {
  const length = Number(head.headers['content-length'] ?? NaN)
  if (!Number.isSafeInteger(length) || length < 0 || length > maximumBody) {
    const reason = `A command must come with a Content-Length of at most ${maximumBody} bytes`
    socket.end(`HTTP/1.1 413 Content Too Large\r\nconnection: close\r\n\r\n${reason}\n`)
    return
  }
  const { log } = dependencies
  const stream = createMessageStream(socket, maximumMessage)
  try {
    const body = await readCommand(stream, socket, length, dependencies.pace)
    await answerCommand(dependencies, stream, socket, body)
  } catch (error) {
    if (!(error instanceof ConnectionLostError || error instanceof ProtocolError)) throw error
    log.info({ reason: error.message }, 'an xe left before it had sent its command')
  }
}

/** Returns when all that the command had to say has been sent, or the client has gone. */
const answerCommand = async (
  { beginCalls, log, authorities, stallLimit }: CliDependencies,
  stream: MessageStream,
  socket: Socket,
  body: string,
): Promise<void> => {
  const client = createCliClient(stream, socket, {
    onQueued: (bytes) => calls.work.hold(bytes),
    ...(stallLimit === undefined ? {} : { stallLimit }),
  })
  const calls = beginCalls(socket, client.gone)
  try {
    const code = await runCommand({ ...calls, authorities }, log, client, body)
    client.send({ kind: 'exit', code })
    calls.work.leave()
    await client.sent()
  } finally {
    calls.work.release()
  }
}

/** The body of the request, then both preambles, ours first. */
const readCommand = async (
  stream: MessageStream,
  socket: Socket,
  length: number,
  pace: BodyPace | undefined,
): Promise<string> => {
  const late = (): void => {
    const reason = 'The command came too slowly'
    socket.write(`HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n${reason}\n`, () =>
      socket.destroy(),
    )
  }
  const unwatch = watchPace(() => stream.received, late, pace)
  try {
    const body = await stream.readBytes(length)
    stream.sendPreamble()
    await stream.receivePreamble()
    return body.toString('utf8')
  } finally {
    unwatch()
  }
}

/** @returns the exit code; whatever went wrong, the client has been told */
const runCommand = async (
  calls: CommandCalls & Pick<CommandContext, 'authorities'>,
  log: Logger,
  client: CliClient,
  body: string,
): Promise<number> => {
  let command: string | undefined
  try {
    const line = parseCommandLine(body)
    command = line.name
    await run(calls, client, line)
    log.info({ command, user: line.user }, 'a command of xe')
    return 0
  } catch (error) {
    if (client.gone.aborted) {
      log.info({ command, reason: String(client.gone.reason) }, 'an xe left its command')
      return 1
    }
    if (isExpected(error)) log.info({ command, reason: error.message }, 'a command of xe failed')
    else log.error({ command, error }, 'a command of xe failed')
    for (const message of errorMessages(error)) client.send(message)
    return 1
  }
}

/** Anything else is a mistake of ours. */
const isExpected = (error: unknown): error is Error =>
  error instanceof CliError || error instanceof TaskFailedError || error instanceof AppError

const run = async (
  { call, work, authorities }: CommandCalls & Pick<CommandContext, 'authorities'>,
  client: CliClient,
  line: CommandLine,
): Promise<void> => {
  const params = createParams(line)
  const minimal = params.flag('minimal')
  const createAny = minimal ? createMinimalPrinter : createPrinter
  const print = createAny((text) => client.send({ kind: 'print', text }))
  if (line.name === 'help') {
    printHelp(params, minimal, commands, print)
    print.flush()
    return
  }
  const command = commands.get(line.name)
  if (command === undefined) {
    throw new CliError(`Unknown command: ${line.name}\n${usageHint}`)
  }
  for (const name of command.required) params.required(name)
  await withSession(call, line, async (session) => {
    const api = (method: string, ...rest: unknown[]) => call(method, [session, ...rest])
    const apiUntil = (signal: AbortSignal, method: string, ...rest: unknown[]) => {
      // It may wait for as long as a transfer takes.
      work.leave()
      return call(method, [session, ...rest], signal)
    }
    const readLine = () => {
      // A person may take long.
      work.leave()
      return client.readLine()
    }
    await warn(command, { params, api, session, client })
    await command.run({ params, print, api, apiUntil, readLine, session, authorities, client })
  })
  print.flush()
}

/**
 * Tells whoever has a valid session, and nobody else, what is ignored. @throws AppError
 * SESSION_INVALID
 */
const warn = async (
  command: Command,
  { params, api, session, client }: Pick<CommandContext, 'params' | 'api' | 'session' | 'client'>,
): Promise<void> => {
  const warnings = shownWarnings(command, params)
  // A session that the client brought has not been checked yet.
  if (warnings.length > 0) await api('session.get_uuid', session)
  for (const text of warnings) client.send({ kind: 'printStderr', text: `${text}\n` })
}

/** The session that the client has, or one for this command. */
const withSession = async (
  call: ApiCaller,
  { sessionId, user, password }: CommandLine,
  work: (session: string) => Promise<void>,
): Promise<void> => {
  if (sessionId !== undefined) {
    await work(sessionId)
    return
  }
  if (user === '') throw new CliError(`Username/password must be specified\n${usageHint}`)
  const session = String(await call('session.login_with_password', [user, password, '1.0', 'xe']))
  try {
    await work(session)
  } finally {
    // It may have ended by itself, and the command has its outcome already.
    await call('session.logout', [session]).catch(() => {})
  }
}
