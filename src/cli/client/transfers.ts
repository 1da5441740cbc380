// httpGet and httpPut: the bytes of an image over a connection of their own, in HTTP/1.0 by hand. A
// body ends with its connection; where the server told a length, a shorter one is a failure.

import { fstatSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import type { Readable, Writable } from 'node:stream'
import { ConnectionLostError, createMessageStream } from '../message-stream.ts'
import type { MessageStream } from '../message-stream.ts'
import type { Files } from './files.ts'
import { ClientSideError } from './files.ts'
import type { Place } from './open-connection.ts'
import { openConnection } from './open-connection.ts'

export interface TransferContext {
  readonly place: Place
  readonly files: Files
  readonly input: Readable
  readonly output: Writable
  readonly debug: (text: string) => void
}

/** Bytes moved at a time. */
const pieceSize = 1 << 20

/** The longest head of an answer, in bytes, and how many redirections are followed. */
const maximumHead = 16 * 1024
const maximumRedirections = 5

/** Names that are not files, on any server. */
const standardOutput: readonly string[] = ['', '-', '/dev/stdout']

/**
 * A file that was put in the place of the standard input has a length, so it is opened as what it
 * is.
 */
const isStandardInput = (fileName: string): boolean =>
  fileName === '-' || (fileName === '/dev/stdin' && !fstatSync(0).isFile())

interface Answer {
  readonly socket: Writable
  readonly stream: MessageStream
  readonly length: number | undefined
}

/** @throws ClientSideError, ConnectionLostError, or an error of the operating system */
export const httpGet = async (
  context: TransferContext,
  fileName: string,
  url: string,
): Promise<void> => {
  const { socket, stream, length } = await request(context, 'GET', url, '')
  try {
    const isStandard = standardOutput.includes(fileName)
    const file = isStandard ? undefined : await context.files.create(fileName)
    let received = 0
    try {
      for await (const piece of piecesOf(stream)) {
        await (file === undefined ? writeTo(context.output, piece) : writeFile(file, piece))
        received += piece.length
      }
    } finally {
      await file?.close()
    }
    if (length !== undefined && received !== length) {
      throw new ClientSideError(`the server announced ${length} bytes and sent ${received}`)
    }
  } finally {
    socket.destroy()
  }
}

/** @throws ClientSideError, ConnectionLostError, or an error of the operating system */
export const httpPut = async (
  context: TransferContext,
  fileName: string,
  url: string,
): Promise<void> => {
  const file = isStandardInput(fileName) ? undefined : await context.files.open(fileName)
  try {
    const found = await file?.stat()
    const header = found?.isFile() === true ? `Content-length: ${found.size}\r\n` : ''
    const { socket, stream } = await request(context, 'PUT', url, header)
    try {
      const source = file?.createReadStream({ highWaterMark: pieceSize, autoClose: false })
      for await (const piece of source ?? context.input) await stream.sendBytes(piece as Buffer)
      socket.end()
      // The server ends the connection when it has all; what it says, the session tells better.
      for await (const piece of piecesOf(stream)) context.debug(piece.toString('latin1'))
    } finally {
      socket.destroy()
    }
  } finally {
    await file?.close()
  }
}

/** Sends a request and returns with the head of a 200; redirections are followed. */
const request = async (
  { place, debug }: TransferContext,
  method: string,
  url: string,
  header: string,
): Promise<Answer> => {
  let target = targetOf(url, place)
  for (let count = 0; count <= maximumRedirections; count += 1) {
    debug(`${method} to ${target.place.host}:${target.place.port}\n`)
    const socket = await openConnection(target.place)
    const stream = createMessageStream(socket, maximumHead)
    socket.write(`${method} ${target.path} HTTP/1.0\r\n${header}\r\n`)
    const { status, headers } = await readHead(stream)
    const length = headers.get('content-length')
    if (status === 200) {
      return { socket, stream, length: length === undefined ? undefined : Number(length) }
    }
    socket.destroy()
    const location = headers.get('location')
    if (status !== 302 || location === undefined) throw new Error(`The server answered ${status}`)
    target = targetOf(location, target.place)
  }
  throw new Error(`More than ${maximumRedirections} redirections`)
}

/** A URL with a server goes there, at the usual port; one without to where the session is. */
const targetOf = (url: string, place: Place): { place: Place; path: string } => {
  const match = /^(https?):\/\/(?:\[([^\]]+)\]|([^/:]+))(?::(\d+))?(\/.*)?$/i.exec(url)
  if (match === null) return { place, path: url }
  const useTls = match[1]!.toLowerCase() === 'https'
  const port = match[4] === undefined ? (useTls ? 443 : 80) : Number(match[4])
  const host = match[2] ?? match[3] ?? place.host
  return { place: { ...place, host, port, useTls }, path: match[5] ?? '/' }
}

const readHead = async (
  stream: MessageStream,
): Promise<{ status: number; headers: ReadonlyMap<string, string> }> => {
  let text = ''
  while (!/\r?\n\r?\n$/.test(text)) {
    if (text.length > maximumHead) throw new Error(`A head of more than ${maximumHead} bytes`)
    text += (await stream.readBytes(1)).toString('latin1')
  }
  const [first = '', ...lines] = text.trim().split(/\r?\n/)
  const status = Number(/^HTTP\/1\.\d (\d{3})\b/.exec(first)?.[1])
  if (Number.isNaN(status)) throw new Error(`The server does not speak HTTP: ${first.slice(0, 80)}`)
  const headers = lines.map((line) => {
    const [name = ''] = line.split(':', 1)
    return [name.toLowerCase(), line.slice(name.length + 1).trim()] as const
  })
  return { status, headers: new Map(headers) }
}

/** All that comes until the connection ends. @throws ConnectionLostError where it breaks */
async function* piecesOf(stream: MessageStream): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    let piece: Buffer
    try {
      piece = await stream.readSome(pieceSize)
    } catch (error) {
      if (error instanceof ConnectionLostError && error.cause === undefined) return
      throw error
    }
    yield piece
  }
}

const writeFile = async (file: FileHandle, bytes: Uint8Array): Promise<void> => {
  try {
    await file.writeFile(bytes)
  } catch (error) {
    const reason = (error as Error).message
    throw new ClientSideError(`Cannot write to the file: ${reason}`, { cause: error })
  }
}

const writeTo = (output: Writable, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    output.write(bytes, (error) => {
      if (error)
        reject(new ClientSideError(`Cannot write to the standard output: ${error.message}`))
      else resolve()
    })
  })
