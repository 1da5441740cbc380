// Speaks to another diskport server: calls by JSON-RPC, and images by PUT. Knows nothing of disks.

import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { once } from 'node:events'
import { AppError } from '../errors.ts'
import { MiB } from '../units.ts'
import type { RemoteAddress } from './address.ts'
import { createAgent } from './connect.ts'
import { RemoteCutError, RemoteError } from './remote-errors.ts'

/** In bytes. */
const maximumAnswer = 16 * MiB
const maximumCall = MiB

/**
 * How long nothing may come or go, in milliseconds: in a call, and in an upload, whose end waits
 * for the other server's disk.
 */
const callSilence = 120_000
const uploadSilence = 900_000

/** A part of a body; `release` is called when it has left. */
interface Piece {
  readonly bytes: Uint8Array
  readonly release: () => void
}

interface Upload {
  /** With the parameters. */
  readonly path: string
  readonly mediaType: string
  /** In bytes, of all pieces together. */
  readonly length: number
  /** Asked for when the other server has said that it will take them. */
  readonly pieces: () => AsyncIterable<Piece>
  readonly signal: AbortSignal
  readonly onProgress: (bytes: number) => void
}

/** All of it throws RemoteCutError where the connection breaks, and the reason of a signal. */
export interface RemoteClient {
  /** The name and the port of the other server. */
  readonly host: string

  /**
   * @throws AppError what the other server answers; OPERATION_NOT_ALLOWED where it is not the one
   *   that was meant
   */
  call(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown>

  /** @throws AppError as `call`, and what `pieces` throws */
  put(upload: Upload): Promise<void>

  /** Ends all connections. */
  close(): void
}

export const createRemoteClient = (address: RemoteAddress): RemoteClient => {
  const { url } = address
  const { host } = url
  const agent = createAgent(address)
  const begin = (options: RequestOptions): ClientRequest =>
    url.protocol === 'http:'
      ? requestPlain(url, { ...options, agent })
      : requestTls(url, { ...options, agent })

  const exchange = async (
    options: RequestOptions,
    silence: number,
    signal: AbortSignal | undefined,
    send: (request: ClientRequest) => Promise<void>,
  ): Promise<{ readonly status: number; readonly text: string }> => {
    signal?.throwIfAborted()
    const request = begin(options)
    const abort = (): void => void request.destroy(new RemoteCutError(host, 'it was given up here'))
    signal?.addEventListener('abort', abort, { once: true })
    request.setTimeout(silence, () => {
      request.destroy(new RemoteCutError(host, `nothing came or went for ${silence / 1000} s`))
    })
    const answered = answerOf(request)
    // Waited for below; meanwhile it must not count as unhandled.
    answered.catch(() => {})
    try {
      await Promise.race([send(request), answered])
      const response = await answered
      return { status: response.statusCode ?? 0, text: await readAnswer(response, host) }
    } catch (error) {
      signal?.throwIfAborted()
      throw toCut(error, host)
    } finally {
      signal?.removeEventListener('abort', abort)
      if (!request.writableFinished) request.destroy()
    }
  }

  return {
    host,
    async call(method, params, signal) {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
      requireShort(method, body)
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      }
      const options = { method: 'POST', path: '/jsonrpc', headers }
      const send = async (request: ClientRequest): Promise<void> => void request.end(body)
      const { status, text } = await exchange(options, callSilence, signal, send)
      return readResult(host, status, text)
    },
    async put({ path, mediaType, length, pieces, signal, onProgress }) {
      const headers = {
        'content-type': mediaType,
        'content-length': length,
        accept: 'application/json',
        expect: '100-continue',
      }
      const send = async (request: ClientRequest): Promise<void> => {
        request.flushHeaders()
        // An abort destroys the request, which ends this, too.
        await once(request, 'continue')
        await sendPieces(request, pieces(), onProgress)
      }
      const options = { method: 'PUT', path, headers }
      const { status, text } = await exchange(options, uploadSilence, signal, send)
      if (status !== 200) throw refusalOf(host, status, text)
    },
    close: () => agent.destroy(),
  }
}

/** @throws AppError OPERATION_NOT_ALLOWED for what the other server would not take */
const requireShort = (method: string, body: string): void => {
  const length = Buffer.byteLength(body)
  if (length <= maximumCall) return
  const found = `the call ${method} would have ${length} bytes, a server takes ${maximumCall}`
  throw new AppError('OPERATION_NOT_ALLOWED', [`Too much is said of one object: ${found}`])
}

const answerOf = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', reject)
    request.once('close', () => reject(new Error('it was closed without an answer')))
  })

const sendPieces = async (
  request: ClientRequest,
  pieces: AsyncIterable<Piece>,
  onProgress: (bytes: number) => void,
): Promise<void> => {
  const closed = new Promise<never>((_resolve, reject) => {
    request.once('close', () => reject(new Error('it was closed in the middle of the image')))
  })
  closed.catch(() => {})
  for await (const { bytes, release } of pieces) {
    if (request.destroyed) throw new Error('it was closed in the middle of the image')
    const isRoom = request.write(bytes, (error) => {
      if (error === undefined || error === null) onProgress(bytes.length)
      release()
    })
    if (!isRoom) await Promise.race([once(request, 'drain'), closed])
  }
  request.end()
}

const readAnswer = async (response: IncomingMessage, host: string): Promise<string> => {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length
    if (size > maximumAnswer) {
      response.destroy()
      throw notUnderstood(host, `an answer of more than ${maximumAnswer} bytes`)
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** @throws AppError of the answer */
const readResult = (host: string, status: number, text: string): unknown => {
  const answer = status === 200 ? parse(text) : undefined
  if (answer === undefined) throw notUnderstood(host, `the status ${status}`)
  if ('result' in answer) return answer['result']
  const { message, data } = asRecord(answer['error'])
  if (typeof message !== 'string') throw notUnderstood(host, 'no result and no error')
  throw new RemoteError(host, message, paramsOf(data))
}

const refusalOf = (host: string, status: number, text: string): AppError => {
  const answer = asRecord(parse(text))
  const { code, params, message } = asRecord(answer['error'] ?? answer)
  if (typeof code !== 'string') return notUnderstood(host, `the status ${status}`)
  const said = typeof message === 'string' ? message : undefined
  return new RemoteError(host, code, paramsOf(params), said)
}

const paramsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.map((param: unknown) => String(param)) : []

const notUnderstood = (host: string, found: string): AppError =>
  new AppError('OPERATION_NOT_ALLOWED', [
    `The server ${host} is not understood: it answers with ${found}. Is it a diskport server?`,
  ])

const parse = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    return asRecord(JSON.parse(text))
  } catch {
    return undefined
  }
}

const asRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const toCut = (error: unknown, host: string): unknown =>
  error instanceof AppError || error instanceof RemoteCutError
    ? error
    : new RemoteCutError(host, error instanceof Error ? error.message : String(error))
