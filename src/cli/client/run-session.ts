// xe's side of a session: sends the command, does what the server asks for, and ends with its exit
// code.

import type { Readable, Writable } from 'node:stream'
import { createInterface } from 'node:readline/promises'
import type { MessageStream } from '../message-stream.ts'
import { createMessageStream } from '../message-stream.ts'
import type { Message, MessageOf } from '../protocol.ts'
import { ProtocolError } from '../protocol.ts'
import type { Files } from './files.ts'
import { ClientSideError } from './files.ts'
import { printable, printableWithBar } from './printable.ts'
import { openConnection, placeOf } from './open-connection.ts'
import type { XeOptions } from './options.ts'
import type { TransferContext } from './transfers.ts'
import { httpGet, httpPut } from './transfers.ts'

interface XeIo {
  readonly input: Readable
  readonly output: Writable
  readonly errors: Writable
}

/** Of one message: a list may be long. */
const maximumMessage = 64 << 20

/** How often the server hears that a transfer still runs, in milliseconds. */
const heartbeat = 60_000

/** Files that the server asks for whole, in bytes; none of diskport's commands does. */
const maximumLoad = 32 << 20

/**
 * @param files those that the user named
 * @returns the exit code of the command
 * @throws ConnectionLostError, ProtocolError, or an error of the operating system
 */
export const runSession = async (
  options: XeOptions,
  password: string,
  files: Files,
  io: XeIo,
): Promise<number> => {
  const place = placeOf(options)
  const socket = await openConnection(place)
  const stream = createMessageStream(socket, maximumMessage)
  const debug = (text: string): void => {
    if (options.debug) io.errors.write(printable(text))
  }
  const lines = [...options.args, `username=${options.username}`, `password=${password}`]
  const body = Buffer.from(lines.join('\n'))
  const head = `POST /cli HTTP/1.0\r\nUser-agent: diskport-xe\r\ncontent-length: ${body.length}\r\n\r\n`
  socket.write(Buffer.concat([Buffer.from(head), body]))
  try {
    await stream.receivePreamble()
    stream.sendPreamble()
    return await obey(stream, { place, files, debug, ...io })
  } finally {
    // The last word may still be on its way.
    socket.destroySoon()
  }
}

type Context = TransferContext & XeIo

const obey = async (stream: MessageStream, context: Context): Promise<number> => {
  // Settles where a transfer failed by the user's mistake: that ends the session, whatever the
  // server says of it.
  const mistake = Promise.withResolvers<'mistake'>()
  let transferring = Promise.resolve()
  try {
    for (;;) {
      const message = await Promise.race([stream.receive(), mistake.promise])
      if (message === 'mistake') return 1
      switch (message.kind) {
        case 'exit':
          return message.code
        case 'httpGet':
        case 'httpPut':
          await transferring
          // Goes on while the server shows how far it is.
          transferring = transfer(stream, context, message).then((isDone) => {
            if (!isDone) mistake.resolve('mistake')
          })
          break
        case 'load':
          await load(stream, context, message.fileName)
          break
        case 'prompt':
          await prompt(stream, context)
          break
        case 'print':
        case 'printStderr':
        case 'debug':
        case 'error':
        case 'httpConnect':
        case 'ok':
        case 'failed':
        case 'wait':
        case 'chunk':
        case 'end':
          show(stream, context, message)
      }
    }
  } finally {
    await transferring
  }
}

/**
 * What needs no answer, or no more than a word. @throws ProtocolError for what a server never says
 */
const show = (
  stream: MessageStream,
  { output, errors, debug }: Context,
  message: Exclude<Message, { kind: 'exit' | 'httpGet' | 'httpPut' | 'load' | 'prompt' }>,
): void => {
  switch (message.kind) {
    case 'print':
      output.write(`${printable(message.text)}\n`)
      break
    case 'printStderr':
      errors.write(printableWithBar(message.text))
      break
    case 'debug':
      debug(`debug from server: ${message.text}\n`)
      break
    case 'error':
      errors.write(
        printable(`Error code: ${message.code}\nError parameters: ${message.params.join(', ')}\n`),
      )
      break
    case 'httpConnect':
      errors.write('This xe shows no consoles\n')
      stream.send({ kind: 'failed' })
      break
    case 'ok':
    case 'failed':
    case 'wait':
    case 'chunk':
    case 'end':
      throw new ProtocolError(`Unexpected message from server: ${message.kind}`)
  }
}

/** @returns false where the mistake is the user's, who has been told */
const transfer = async (
  stream: MessageStream,
  context: Context,
  { kind, fileName, url }: MessageOf<'httpGet' | 'httpPut'> & Message,
): Promise<boolean> => {
  const timer = setInterval(() => stream.send({ kind: 'wait' }), heartbeat)
  try {
    await (kind === 'httpGet' ? httpGet : httpPut)(context, fileName, url)
    stream.send({ kind: 'ok' })
    return true
  } catch (error) {
    stream.send({ kind: 'failed' })
    if (error instanceof ClientSideError) {
      context.errors.write(printable(`Operation failed. Error: ${error.message}\n`))
      return false
    }
    // The server knows better what went wrong, and says it next.
    context.debug(`${kind} failed: ${String(error)}\n`)
    return true
  } finally {
    clearInterval(timer)
  }
}

const load = async (stream: MessageStream, { files, errors }: Context, name: string) => {
  let content: Buffer
  try {
    const file = await files.open(name)
    try {
      const { size } = await file.stat()
      if (size > maximumLoad) throw new ClientSideError(`'${name}' has ${size} bytes, too many`)
      content = await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    errors.write(printable(`${(error as Error).message}\n`))
    stream.send({ kind: 'failed' })
    return
  }
  stream.send({ kind: 'ok' })
  await sendBlob(stream, content)
}

const prompt = async (stream: MessageStream, { input }: Context): Promise<void> => {
  const lines = createInterface({ input })
  const line = await lines[Symbol.asyncIterator]().next()
  lines.close()
  await sendBlob(stream, Buffer.from(line.value ?? ''))
}

const sendBlob = async (stream: MessageStream, bytes: Buffer): Promise<void> => {
  stream.send({ kind: 'chunk', length: bytes.length })
  await stream.sendBytes(bytes)
  stream.send({ kind: 'end' })
}
