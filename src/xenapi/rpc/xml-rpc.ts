// XML-RPC around the dispatcher: text in, an answer out. A call that fails is answered with
// XenAPI's `Status`; a fault is only for a text that holds no call.

import { toAppError } from '../../errors.ts'
import type { Answer } from './answer.ts'
import { AnswerBuilder } from './answer.ts'
import type { AnswerRoom } from '../wire/answer-room.ts'
import type { Dispatcher, RpcRequest } from '../dispatch.ts'
import type { Origin } from '../origin.ts'
import type { Wire } from '../wire/values.ts'
import { readXmlCall, XmlRpcError } from './xml-rpc-call.ts'
import { XmlError } from '../wire/xml-tokens.ts'
import type { LongText } from '../../disk/long-text.ts'
import { toXmlValue, xmlParts } from '../wire/xml-value.ts'

/**
 * @param signal aborted when the client has left
 * @param origin where the text comes from; default: the server itself
 * @returns the body of the answer, for every text; the caller releases it
 */
export type XmlRpc = (text: string, signal?: AbortSignal, origin?: Origin) => Promise<Answer>

/** As in "Specification for Fault Code Interoperability" of XML-RPC. */
const NOT_WELL_FORMED = -32_700n
const INVALID_CALL = -32_600n

/** The one call whose answer stands bare. */
const LIST_METHODS = 'system.listMethods'

export const createXmlRpc =
  (dispatcher: Dispatcher, room: AnswerRoom): XmlRpc =>
  async (text, signal, origin) => {
    const work = room.begin(signal)
    const builder = new AnswerBuilder(work)
    const start = builder.mark()
    const request = await readCall(text, signal, origin?.network)
    try {
      if (typeof request === 'string') await builder.add([request])
      else {
        const Value = await dispatcher.call(request, signal, origin, work)
        const isBare = request.method === LIST_METHODS
        await builder.add(response(isBare ? Value : { Status: 'Success', Value }))
      }
    } catch (error) {
      const { code, params } = toAppError(error)
      builder.rewind(start)
      await builder.add(response({ Status: 'Failure', ErrorDescription: [code, ...params] }))
    }
    return builder.finish()
  }

/** The call, or the answer to a text that holds none. */
const readCall = async (
  text: string,
  signal: AbortSignal | undefined,
  network: string | undefined,
): Promise<RpcRequest | string> => {
  try {
    return await readXmlCall(text, signal, network)
  } catch (error) {
    return unreadable(error)
  }
}

/** The answer to a call that could not be read at all, for example one that is too long. */
export const unreadableXmlCall = (found: string): string =>
  fault(INVALID_CALL, `Cannot read the call: ${found}`)

const unreadable = (error: unknown): string => {
  if (error instanceof XmlError) {
    return fault(NOT_WELL_FORMED, `Cannot read the body as XML: ${error.message}`)
  }
  if (error instanceof XmlRpcError) return unreadableXmlCall(error.message)
  throw error
}

const HEAD = '<?xml version="1.0"?>'

/** The text, in parts. */
function* response(value: Wire): Generator<string | LongText, void, undefined> {
  yield `${HEAD}<methodResponse><params><param>`
  yield* xmlParts(value)
  yield '</param></params></methodResponse>'
}

const fault = (faultCode: bigint, faultString: string): string =>
  `${HEAD}<methodResponse><fault>${toXmlValue({ faultCode, faultString })}</fault></methodResponse>`
