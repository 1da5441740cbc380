// PUT /import_raw_vdi on a bare socket, for the clients that node:http cannot serve: those that
// tell no length, and those that close the connection as soon as they have sent the last byte (xe,
// Orchestra), whereupon node discards what has not been read yet. They wait for the 200 before
// they send; the task tells the outcome.

import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { AppError, toAppError } from '../src/errors.ts'
import type { RawRoute } from '../src/net/front.ts'
import type { RequestHead } from '../src/net/request-head.ts'
import type { Upload } from '../src/operations/vdi/import-request.ts'
import type { Turn } from '../src/transfer/turns.ts'
import type { RouteContext } from './environment.ts'
import type { ErrorReply } from './error-response.ts'
import { errorReply, logRefusal } from './error-response.ts'
import {
  hasTask,
  importParametersOf,
  importPath,
  importReply,
  isSurprise,
  machinesPath,
  runImport,
} from './import-request.ts'
import { createDigestCheck } from './digests.ts'
import { closesBehind, requireNoRequest } from './next-request.ts'
import { warningOf } from './parameter-names.ts'
import { readFlag, readParameters } from './params.ts'
import { exactly, readBody, StalledUploadError, untilCut } from './read-body.ts'
import { breakOff, drain, linger, mayBeQuestion, unknownLength } from './upload.ts'
import { isPlainTransfer, requireWholeBody } from './upload-headers.ts'

/** Routes for the socket front. */
export const createSocketImports = (context: RouteContext): RawRoute[] =>
  [importPath, machinesPath].map((path) => createSocketImport(context, path))

const createSocketImport = (context: RouteContext, path: string): RawRoute => ({
  method: 'PUT',
  path,
  takes(head) {
    const coding = head.headers['transfer-encoding']
    // Node answers a coding that it does not know without a word, and leaves the task as it is.
    if (coding !== undefined) return !isPlainTransfer(coding)
    const length = lengthOf(head)
    // What is no length node refuses without a word to the task.
    if (length === undefined || Number.isNaN(length)) return true
    return length === unknownLength || head.httpVersion === '1.0'
  },
  handle: (head, socket) => handleImport(context, head, socket),
})

/** NaN for an invalid Content-Length. */
const lengthOf = ({ headers }: RequestHead): number | undefined => {
  const text = headers['content-length']
  if (text === undefined) return undefined
  const length = /^\d+$/.test(text) ? Number(text) : NaN
  return Number.isSafeInteger(length) ? length : NaN
}

const handleImport = async (
  context: RouteContext,
  head: RequestHead,
  socket: Socket,
): Promise<void> => {
  const answer = createAnswer(socket, warningOf(head, importParametersOf(head)))
  // From then on the task tells what goes wrong.
  let hasBegun = false
  try {
    const imported = await runImport(context, { ...head, socket }, () => {
      hasBegun = true
      return readUpload(head, socket, context.stallTimeout, () => answer.accept())
    })
    answer.end(importReply(head, imported))
  } catch (error) {
    const reason = toAppError(error)
    const reply = errorReply(reason, head.headers.accept, 400)
    logRefusal(context.operations.log, reply, reason, 'an import was refused')
    // Of who has stalled nothing more is waited for.
    const isOver = reason.code === 'TASK_CANCELLED' || reason instanceof StalledUploadError
    const isWatched = hasTask(head) && !isOver
    // Who cuts the connection sends all without waiting.
    const isComing = hasBegun && lengthOf(head) === unknownLength
    if (isWatched && isComing && isSurprise(reason) && !answer.accepted) answer.accept()
    if (!answer.accepted) answer.end(reply)
    else if (isWatched) {
      await drain(socket, lengthOf(head))
      answer.end(reply)
    } else {
      breakOff(socket)
    }
  }
  await linger(socket)
}

/** Whatever the length, the connection ends with the answer. */
const createAnswer = (socket: Socket, warning: Readonly<Record<string, string>>) => ({
  accepted: false,
  /** The head, before the first byte has been read. */
  accept(): void {
    this.accepted = true
    socket.write(headOf(200, { 'content-type': 'text/plain; charset=utf-8', ...warning }))
  },
  /** The whole answer, or its body where the head has gone out. */
  end({ status, reason, headers, body }: ErrorReply): void {
    const length = String(Buffer.byteLength(body))
    const fields = { ...headers, ...warning, 'content-length': length }
    const head = this.accepted ? '' : headOf(status, fields, reason)
    socket.end(`${head}${body}`)
  },
})

/** @throws AppError INVALID_VALUE for what requireWholeBody refuses */
const readUpload = (
  head: RequestHead,
  socket: Socket,
  stallTimeout: number,
  accept: () => void,
): Upload => {
  const coded = requireWholeBody((name) => head.headers[name])
  const length = lengthOf(head)
  if (Number.isNaN(length)) {
    throw new AppError('INVALID_VALUE', ['Content-Length', head.headers['content-length'] ?? ''])
  }
  const check = createDigestCheck(head.headers)
  const whole = (body: AsyncIterable<Uint8Array>) => (check === undefined ? body : check.pass(body))
  const mayAsk = mayBeQuestion(length, head.httpVersion)
  const body = (turn: Turn): AsyncIterable<Uint8Array> => {
    accept()
    return readBody(socket, { stallTimeout, turn })
  }
  const verifying = { ...coded, ...(check && { verify: check.verify }) }
  if (length === undefined) {
    const isChunked = readFlag(readParameters(head), 'chunked')
    const own = (turn: Turn) =>
      closesBehind(head, isChunked) ? body(turn) : requireNoRequest(body(turn))
    return { endsWith: 'close', accept: (turn) => whole(own(turn)), ...verifying }
  }
  if (length === unknownLength) {
    return { endsWith: 'cut', accept: (turn) => whole(untilCut(body(turn))), mayAsk, ...verifying }
  }
  return { length, accept: (turn) => whole(exactly(length, body(turn))), mayAsk, ...verifying }
}

const headOf = (
  status: number,
  headers: Readonly<Record<string, string>>,
  reason = STATUS_CODES[status],
): string => {
  const lines = Object.entries({ ...headers, connection: 'close' })
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/1.1 ${status} ${reason}\r\n${text}\r\n`
}
