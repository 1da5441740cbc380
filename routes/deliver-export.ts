// How an export is answered: with a length and ranges where it is planned, in chunks where nobody
// knows its length. Decides the head; streaming.ts moves the bytes.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../src/errors.ts'
import type { PooledBuffer } from '../src/image/buffer-pool.ts'
import { createPacedPool } from '../src/image/buffer-pool.ts'
import type { Image } from '../src/image/image.ts'
import type { Deliver, ReadyExport } from '../src/operations/vdi/ready-export.ts'
import { readAhead } from '../src/transfer/read-ahead.ts'
import type { TaskHandle } from '../src/transfer/with-task.ts'
import type { ContentCoding } from '../src/wrapping/content-codings.ts'
import { compressContent } from '../src/wrapping/content-codings.ts'
import { chooseCoding } from './content-coding.ts'
import { UnsatisfiableRangeError } from './error-response.ts'
import { checkPreconditions, lastModifiedOf } from './preconditions.ts'
import { chooseRange } from './range.ts'
import { sendChunks, sendImage } from './streaming.ts'

interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly task: TaskHandle
  readonly stallTimeout: number
  /** Whether the client says that it means its Accept-Encoding. */
  readonly negotiate: boolean
}

export const deliverTo =
  (exchange: Exchange): Deliver =>
  async (ready) => {
    const { incoming, outgoing } = exchange
    const { body, etag, changedAt } = ready
    const coding = codingOf(exchange, ready)
    if (body.kind === 'streamed' || coding !== undefined) requireKnownEnd(exchange)
    // What is compressed on its way is the same content, in bytes that nobody promises.
    const sent = coding === undefined ? ready : { ...ready, etag: `W/${etag}` }
    const conditions = { etags: [...new Set([etag, sent.etag])], changedAt }
    const method = incoming.method ?? 'GET'
    if (checkPreconditions(method, incoming.headers, conditions) !== 'proceed') {
      outgoing.writeHead(304, validatorsOf(sent))
      outgoing.end()
      return
    }
    if (body.kind === 'streamed') await deliverChunks(exchange, sent, chunksOf(body, ready))
    else if (coding === undefined) await deliverPlanned(exchange, sent, body.image)
    else await deliverChunks(exchange, sent, codedChunksOf(body.image, ready, coding), coding)
  }

const codingOf = (
  { incoming, negotiate }: Exchange,
  { isCompressed }: ReadyExport,
): ContentCoding | undefined =>
  chooseCoding({
    header: incoming.headers['accept-encoding']?.toString(),
    isMeant: negotiate,
    prefersIdentity: incoming.httpVersion === '1.0' || incoming.headers.range !== undefined,
    ...(isCompressed && { onlyIdentity: 'the image is compressed already' }),
  })

/**
 * HTTP/1.0 has no chunks: a body of unknown length that is cut looks whole, unless a task tells.
 * @throws AppError VALUE_NOT_SUPPORTED
 */
const requireKnownEnd = ({ incoming, task }: Exchange): void => {
  if (incoming.httpVersion !== '1.0' || task.ref !== undefined) return
  const reason =
    'the length of this answer is known only at its end, and over HTTP/1.0 a cut one looks whole'
  const advice = 'use HTTP/1.1, or name a task_id and look at its status'
  throw new AppError('VALUE_NOT_SUPPORTED', ['HTTP/1.0', `${reason}: ${advice}`])
}

const deliverPlanned = async (
  exchange: Exchange,
  ready: ReadyExport,
  image: Image,
): Promise<void> => {
  const { incoming, outgoing, task, stallTimeout } = exchange
  const { headers } = incoming
  const isHead = incoming.method === 'HEAD'
  // RFC 9110, section 14.2: a Range means something to GET only.
  const asked = isHead ? undefined : headers.range
  const chosen = chooseRange(image.size, ready.etag, asked, headers['if-range']?.toString())
  if (chosen.status === 416) throw new UnsatisfiableRangeError(asked ?? '', image.size)
  const { status, range } = chosen
  if (!isHead) await ready.open()
  outgoing.strictContentLength = true
  const last = range.offset + range.length - 1
  outgoing.writeHead(status, {
    ...headersOf(ready, task),
    'accept-ranges': 'bytes',
    'content-length': range.length,
    ...(status === 206 && { 'content-range': `bytes ${range.offset}-${last}/${image.size}` }),
  })
  if (isHead) {
    outgoing.end()
    return
  }
  let sent = 0
  const onProgress = (bytes: number): void => {
    sent += bytes
    ready.report(sent / range.length)
  }
  const { signal, turn, verify } = ready
  const options = { signal, turn, stallTimeout, onProgress, verify }
  const outcome = await sendImage(image, range, outgoing, options)
  if (outcome === 'client-left') throw clientLeft(task, `${sent} of ${range.length} bytes`)
}

type ChunksOf = (stop: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>

const chunksOf =
  (
    { encode }: Extract<ReadyExport['body'], { readonly kind: 'streamed' }>,
    { turn, report }: ReadyExport,
  ): ChunksOf =>
  (stop) =>
    encode({ signal: stop, turn, onProgress: report })

const codedChunksOf = (
  image: Image,
  { turn, report }: ReadyExport,
  coding: ContentCoding,
): ChunksOf =>
  async function* chunks(stop) {
    const pool = createPacedPool(() => turn.pausedTime)
    const range = { offset: 0, length: image.size }
    const pieces = readAhead(image, range, { pool, turn, signal: stop })
    let read = 0
    async function* counted(): AsyncGenerator<PooledBuffer, void, undefined> {
      for await (const piece of pieces) {
        read += piece.bytes.length
        report(read / image.size)
        yield piece
      }
    }
    try {
      yield* compressContent(coding, counted())
    } finally {
      pool.close()
    }
  }

/** A Range is ignored, as RFC 9110, section 14.2, lets a server do. */
const deliverChunks = async (
  { incoming, outgoing, task, stallTimeout }: Exchange,
  ready: ReadyExport,
  chunks: ChunksOf,
  coding?: ContentCoding,
): Promise<void> => {
  const { signal, turn, verify } = ready
  const writeHead = (): void => {
    outgoing.writeHead(200, {
      ...headersOf(ready, task),
      'accept-ranges': 'none',
      ...(coding !== undefined && { 'content-encoding': coding }),
    })
  }
  if (incoming.method === 'HEAD') {
    writeHead()
    outgoing.end()
    return
  }
  await ready.open()
  let sent = 0
  const onProgress = (bytes: number): void => void (sent += bytes)
  const options = { signal, turn, stallTimeout, onProgress, verify, writeHead }
  const outcome = await sendChunks(chunks, outgoing, options)
  if (outcome === 'client-left') throw clientLeft(task, `${sent} bytes`)
}

const clientLeft = (task: TaskHandle, after: string): AppError =>
  new AppError('TASK_CANCELLED', [task.ref ?? ''], { message: `The client left after ${after}` })

const headersOf = (ready: ReadyExport, task: TaskHandle): Record<string, string> => ({
  ...validatorsOf(ready),
  ...(task.ref === undefined ? {} : { 'task-id': task.ref }),
  'content-type': ready.mediaType,
  'content-disposition': `attachment; filename="${ready.fileName}"`,
})

const validatorsOf = ({ etag, changedAt }: ReadyExport): Record<string, string> => {
  const lastModified = lastModifiedOf(changedAt, new Date())
  return {
    etag,
    ...(lastModified === undefined ? {} : { 'last-modified': lastModified }),
    'cache-control': 'no-cache, no-store',
  }
}
