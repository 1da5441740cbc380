// JSON-RPC 2.0 and 1.0 around the dispatcher: text in, an answer out. XenAPI takes no
// notifications: the failure of a call without an answer would go unnoticed.

import { toAppError } from '../../errors.ts'
import type { LongText } from '../../disk/long-text.ts'
import type { Answer } from './answer.ts'
import { AnswerBuilder } from './answer.ts'
import type { AnswerRoom, AnswerWork } from '../wire/answer-room.ts'
import type { Dispatcher } from '../dispatch.ts'
import { jsonParts } from '../wire/json-value.ts'
import type { Origin } from '../origin.ts'
import { isWireMap } from '../wire/values.ts'
import type { Wire } from '../wire/values.ts'

/**
 * @param signal aborted when the client has left
 * @param origin where the text comes from; default: the server itself
 * @returns the body of the answer, for every text; the caller releases it
 */
export type JsonRpc = (text: string, signal?: AbortSignal, origin?: Origin) => Promise<Answer>

/** Of brackets in brackets; a record of XenAPI in a batch needs 5. */
const MAXIMUM_DEPTH = 32

const MAXIMUM_BATCH = 100

/** Calls that have a password worked out: who sends a batch waits for one of them at most. */
const passwordCall = /^session[._](?:login_with_password|change_password)$/

const PARSE_ERROR = -32_700
const INVALID_REQUEST = -32_600
const INVALID_PARAMS = -32_602

/** XenAPI has one number for all of its errors; clients go by the message. */
const XENAPI_ERROR = 1

type Version = '1.0' | '2.0'
type Id = string | number | null

/** What is wrong with the envelope and not with the call. */
class ProtocolError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** What one answer is made with. */
interface Answering {
  readonly dispatcher: Dispatcher
  readonly work: AnswerWork
  readonly builder: AnswerBuilder
  readonly signal: AbortSignal | undefined
  readonly origin: Origin | undefined
}

export const createJsonRpc =
  (dispatcher: Dispatcher, room: AnswerRoom): JsonRpc =>
  async (text, signal, origin) => {
    const work = room.begin(signal)
    const builder = new AnswerBuilder(work)
    const answering = { dispatcher, work, builder, signal, origin }
    try {
      const parsed = parse(text)
      if (isArray(parsed)) await answerBatch(answering, parsed)
      else await answerOne(answering, parsed)
    } catch (error) {
      await builder.add([failure('2.0', null, error)])
    }
    return builder.finish()
  }

const answerBatch = async (answering: Answering, requests: readonly Wire[]): Promise<void> => {
  if (requests.length === 0) throw invalidRequest('the batch is empty')
  if (requests.length > MAXIMUM_BATCH) {
    throw invalidRequest(`the batch has ${requests.length} calls, the limit is ${MAXIMUM_BATCH}`)
  }
  const { builder } = answering
  let before = '['
  let hasLogin = false
  for (const request of requests) {
    const isLogin = isPasswordCall(request)
    await builder.add([before])
    if (isLogin && hasLogin) await builder.add([secondLogin(request)])
    else await answerOne(answering, request)
    hasLogin ||= isLogin
    before = ','
  }
  await builder.add([']'])
}

/**
 * Adds the answer, or what the call failed with: also where the answer could not be made to its
 * end.
 */
const answerOne = async (
  { dispatcher, work, builder, signal, origin }: Answering,
  request: Wire,
): Promise<void> => {
  const { id, version } = envelopeOf(request)
  const start = builder.mark()
  try {
    work.requireMore()
    const result = await dispatcher.call(readRequest(request, id), signal, origin, work)
    await builder.add(success(version, id, result))
  } catch (error) {
    builder.rewind(start)
    await builder.add([failure(version, id, error)])
  }
}

const isPasswordCall = (request: Wire): boolean =>
  isWireMap(request) &&
  typeof request['method'] === 'string' &&
  passwordCall.test(request['method'])

const secondLogin = (request: Wire): string => {
  const { id, version } = envelopeOf(request)
  return failure(version, id, invalidRequest('a batch may hold one login, send each on its own'))
}

/** The answer to a call that could not be read at all, for example one that is too long. */
export const unreadableCall = (message: string): string =>
  failure('2.0', null, invalidRequest(message))

const invalidRequest = (found: string): ProtocolError =>
  new ProtocolError(INVALID_REQUEST, `Invalid request: ${found}`)

const parse = (text: string): Wire => {
  requireShallow(text)
  try {
    return JSON.parse(text) as Wire
  } catch {
    // The parser's own message shows a part of the text, and that may be a password.
    throw new ProtocolError(PARSE_ERROR, 'Parse error: the body is not JSON')
  }
}

/** Before the parser sees it, so that no depth of brackets reaches code that calls itself. */
const requireShallow = (text: string): void => {
  let depth = 0
  let isString = false
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index]
    if (character === '"') isString = !isString
    else if (isString) index += character === '\\' ? 1 : 0
    else if (character === '[' || character === '{') depth += 1
    else if (character === ']' || character === '}') depth -= 1
    if (depth > MAXIMUM_DEPTH) {
      throw invalidRequest(`brackets are nested deeper than ${MAXIMUM_DEPTH}`)
    }
  }
}

/** What the answer needs even when the request is wrong. */
const envelopeOf = (request: Wire): { id: Id; version: Version } => {
  if (!isWireMap(request)) return { id: null, version: '2.0' }
  const { id } = request
  return {
    id: typeof id === 'string' || typeof id === 'number' ? id : null,
    version: request['jsonrpc'] === undefined || request['jsonrpc'] === '1.0' ? '1.0' : '2.0',
  }
}

const readRequest = (request: Wire, id: Id): { method: string; params: readonly Wire[] } => {
  if (!isWireMap(request)) throw invalidRequest('a call is an object')
  const { jsonrpc, method, params = [] } = request
  if (jsonrpc !== undefined && jsonrpc !== '2.0' && jsonrpc !== '1.0') {
    throw invalidRequest('jsonrpc must be "2.0", or "1.0", or left out for 1.0')
  }
  if (typeof method !== 'string') throw invalidRequest('method must be a string')
  if (id === null) {
    throw invalidRequest('id must be a string or a number, there are no notifications')
  }
  if (!isArray(params)) {
    throw new ProtocolError(INVALID_PARAMS, 'Invalid params: params must be an array')
  }
  return { method, params }
}

/** The text, in parts. */
function* success(
  version: Version,
  id: Id,
  result: Wire,
): Generator<string | LongText, void, undefined> {
  yield version === '1.0' ? '{"result":' : '{"jsonrpc":"2.0","result":'
  yield* jsonParts(result)
  yield version === '1.0' ? ',"error":null,"id":' : ',"id":'
  yield `${JSON.stringify(id)}}`
}

/** The text. */
const failure = (version: Version, id: Id, error: unknown): string => {
  if (error instanceof ProtocolError) {
    const { code, message } = error
    return JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id })
  }
  const { code, params } = toAppError(error)
  if (version === '1.0') return JSON.stringify({ result: null, error: [code, ...params], id })
  const found = { code: XENAPI_ERROR, message: code, data: params }
  return JSON.stringify({ jsonrpc: '2.0', error: found, id })
}

const isArray = (wire: Wire): wire is readonly Wire[] => Array.isArray(wire)
