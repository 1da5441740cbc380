// How an export is answered: with a length and ranges where it is planned, in chunks where nobody
// knows its length. Decides the head; streaming.ts moves the bytes.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../src/errors.ts'
import type { Image } from '../src/image/image.ts'
import type { Deliver, ReadyExport } from '../src/operations/export-vdi.ts'
import type { TaskHandle } from '../src/transfer/with-task.ts'
import { UnsatisfiableRangeError } from './error-response.ts'
import { checkPreconditions, lastModifiedOf } from './preconditions.ts'
import { chooseRange } from './range.ts'
import { sendChunks, sendImage } from './streaming.ts'

interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly task: TaskHandle
  readonly stallTimeout: number
}

export const deliverTo =
  (exchange: Exchange): Deliver =>
  async (ready) => {
    const { incoming, outgoing } = exchange
    const { body, etag, changedAt } = ready
    if (body.kind === 'streamed') requireKnownEnd(exchange)
    const method = incoming.method ?? 'GET'
    const conditions = { etags: [etag], changedAt }
    if (checkPreconditions(method, incoming.headers, conditions) !== 'proceed') {
      outgoing.writeHead(304, validatorsOf(ready))
      outgoing.end()
      return
    }
    if (body.kind === 'planned') await deliverPlanned(exchange, ready, body.image)
    else await deliverStreamed(exchange, ready, body)
  }

/**
 * HTTP/1.0 has no chunks: a body of unknown length that is cut looks whole, unless a task tells.
 * @throws AppError VALUE_NOT_SUPPORTED
 */
const requireKnownEnd = ({ incoming, task }: Exchange): void => {
  const { httpVersion } = incoming
  if (httpVersion !== '1.0' || task.ref !== undefined) return
  const reason = 'nobody knows the length of this image before its end, and HTTP/1.0 cannot tell'
  const advice = 'use HTTP/1.1, or name a task_id and look at its status'
  throw new AppError('VALUE_NOT_SUPPORTED', ['HTTP/1.0', '', `${reason} a cut one: ${advice}`])
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

/** A Range is ignored, as RFC 9110, section 14.2, lets a server do. */
const deliverStreamed = async (
  { incoming, outgoing, task, stallTimeout }: Exchange,
  ready: ReadyExport,
  { encode }: Extract<ReadyExport['body'], { readonly kind: 'streamed' }>,
): Promise<void> => {
  const { signal, turn, verify, report } = ready
  const writeHead = (): void => {
    outgoing.writeHead(200, { ...headersOf(ready, task), 'accept-ranges': 'none' })
  }
  if (incoming.method === 'HEAD') {
    writeHead()
    outgoing.end()
    return
  }
  await ready.open()
  let sent = 0
  const outcome = await sendChunks(
    (stop) => encode({ signal: stop, turn, onProgress: report }),
    outgoing,
    { signal, turn, stallTimeout, onProgress: (bytes) => (sent += bytes), verify, writeHead },
  )
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
