// PUT /import_raw_vdi: an image file becomes the content of a VDI, or a new VDI. PUT /import: an
// archive becomes VMs with their disks. The body is asked for only when nothing is left to refuse.
// The status is that of the commit, unless the client cannot wait for it.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { AppError, toAppError } from '../src/errors.ts'
import type { Upload } from '../src/operations/vdi/import-request.ts'
import type { Turn } from '../src/transfer/turns.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import type { ErrorReply } from './error-response.ts'
import { errorReply, LengthRequiredError, logRefusal } from './error-response.ts'
import {
  hasTask,
  importParametersOf,
  importPath,
  importReply,
  isSurprise,
  machinesPath,
  runImport,
} from './import-request.ts'
import { createDigestCheck, requireNoDigest } from './digests.ts'
import { warningOf } from './parameter-names.ts'
import { readBody, StalledUploadError, untilCut } from './read-body.ts'
import { refuseOtherMethods } from './refuse-method.ts'
import { requireWholeBody } from './upload-headers.ts'
import {
  answer,
  breakOff,
  drain,
  linger,
  mayBeQuestion,
  setHeaders,
  unknownLength,
} from './upload.ts'

export const createImportRoute = (context: RouteContext): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  const handle = (c: Context<NodeEnvironment>) => handleImport(context, c)
  for (const path of [importPath, machinesPath]) {
    app.put(path, handle)
    app.put(`${path}/`, handle)
    refuseOtherMethods(app, path, ['PUT'])
  }
  return app
}

const handleImport = async (
  context: RouteContext,
  { env: { incoming, outgoing } }: Context<NodeEnvironment>,
): Promise<Response> => {
  setHeaders(outgoing, warningOf(incoming, importParametersOf(incoming)))
  const upload = { accepted: false, isComing: false }
  try {
    const imported = await runImport(context, incoming, () =>
      readUpload(incoming, outgoing, upload, context.stallTimeout),
    )
    finish(incoming, outgoing, importReply(incoming, imported))
  } catch (error) {
    const reason = toAppError(error)
    const reply = errorReply(reason, incoming.headers.accept, 400)
    logRefusal(context.operations.log, reply, reason, 'an import was refused')
    const isTaken = upload.accepted || (upload.isComing && isSurprise(reason))
    // Of who has stalled nothing more is waited for.
    const isOver = reason.code === 'TASK_CANCELLED' || reason instanceof StalledUploadError
    // Clients of tasks ask the task for the reason, but only if the upload itself ended well for
    // them. They announce a length; whoever sends chunks is told the truth at once.
    const isWatched = hasTask(incoming) && incoming.headers['transfer-encoding'] === undefined
    if (isTaken && isWatched && !isOver) {
      if (isUnknown(incoming) && !outgoing.headersSent) writeEarlyHead(outgoing)
      await drain(incoming)
      finish(incoming, outgoing, { ...reply, status: 200 })
    } else if (outgoing.headersSent) breakOff(incoming.socket)
    else answer(incoming, outgoing, reply)
  }
  return RESPONSE_ALREADY_SENT
}

/** Answers, or says the rest where the head has gone out before. */
const finish = (incoming: IncomingMessage, outgoing: ServerResponse, reply: ErrorReply): void => {
  if (!outgoing.headersSent) {
    answer(incoming, outgoing, reply)
    return
  }
  outgoing.write(reply.body)
  void linger(incoming).then(() => outgoing.end())
}

/**
 * @param upload what is known of it: whether its first byte has been asked for, and whether it
 *   comes without being asked for, because the client waits neither for 100 Continue nor for the
 *   head
 * @throws AppError INVALID_VALUE for a length that is no number, and for what requireWholeBody
 *   refuses
 */
const readUpload = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  upload: { accepted: boolean; isComing: boolean },
  stallTimeout: number,
): Upload => {
  const coded = requireWholeBody((name) => incoming.headersDistinct[name]?.join(', '))
  const { expect = '', 'content-length': announced, 'transfer-encoding': coding } = incoming.headers
  const length = readLength(announced)
  const isCut = isUnknown(incoming)
  // Who speaks HTTP/1.0 waits for the head before it sends the first byte.
  const isEarly = isCut || incoming.httpVersion === '1.0'
  const hasBody = length !== undefined || coding !== undefined
  const check = createDigestCheck(incoming.headers)
  upload.isComing = hasBody && expect === '' && incoming.httpVersion !== '1.0'
  const accept = (turn: Turn): AsyncIterable<Uint8Array> => {
    // The socket front takes such a request only where it is the first of its connection.
    if (!hasBody) throw new LengthRequiredError()
    upload.accepted = true
    if (isEarly) writeEarlyHead(outgoing)
    else if (expect !== '') outgoing.writeContinue()
    const read = readBody(incoming, { stallTimeout, turn })
    const body = isCut ? untilCut(read) : read
    return check === undefined ? body : check.pass(body)
  }
  const mayAsk = mayBeQuestion(length, incoming.httpVersion)
  const verifying = { ...coded, ...(check && { verify: check.verify }) }
  if (isCut) return { accept, endsWith: 'cut', mayAsk, ...verifying }
  if (length !== undefined) return { accept, length, mayAsk, ...verifying }
  const verify = (): void => {
    requireNoDigest('Trailer', Object.keys(incoming.trailers))
    check?.verify()
  }
  return { accept, ...coded, verify }
}

const isUnknown = ({ headers }: IncomingMessage): boolean =>
  headers['content-length'] === String(unknownLength)

/** A head without a length and without chunks: the body ends with the connection. */
const writeEarlyHead = (outgoing: ServerResponse): void => {
  outgoing.removeHeader('transfer-encoding')
  outgoing.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
  outgoing.flushHeaders()
}

const readLength = (header: string | undefined): number | undefined => {
  if (header === undefined) return undefined
  const length = Number(header)
  if (!Number.isSafeInteger(length)) throw new AppError('INVALID_VALUE', ['Content-Length', header])
  return length
}
