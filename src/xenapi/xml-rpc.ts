// XML-RPC around the dispatcher: text in, text out. A call that fails is answered with XenAPI's
// `Status`; a fault is only for a text that holds no call.

import { toAppError } from '../errors.ts'
import type { Dispatcher, RpcRequest } from './dispatch.ts'
import type { Origin } from './origin.ts'
import type { Wire } from './values.ts'
import { readXmlCall, XmlRpcError } from './xml-rpc-call.ts'
import { XmlError } from './xml-tokens.ts'
import { toXmlValue } from './xml-value.ts'

/**
 * @param signal aborted when the client has left
 * @param origin where the text comes from; default: the server itself
 * @returns the body of the answer, for every text
 */
export type XmlRpc = (text: string, signal?: AbortSignal, origin?: Origin) => Promise<string>

/** As in "Specification for Fault Code Interoperability" of XML-RPC. */
const NOT_WELL_FORMED = -32_700n
const INVALID_CALL = -32_600n

/** The one call whose answer stands bare. */
const LIST_METHODS = 'system.listMethods'

export const createXmlRpc =
  (dispatcher: Dispatcher): XmlRpc =>
  async (text, signal, origin) => {
    let request: RpcRequest
    try {
      request = await readXmlCall(text, signal)
    } catch (error) {
      return unreadable(error)
    }
    try {
      const Value = await dispatcher.call(request, signal, origin)
      return response(request.method === LIST_METHODS ? Value : { Status: 'Success', Value })
    } catch (error) {
      const { code, params } = toAppError(error)
      return response({ Status: 'Failure', ErrorDescription: [code, ...params] })
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

const response = (value: Wire): string =>
  `${HEAD}<methodResponse><params><param>${toXmlValue(value)}</param></params></methodResponse>`

const fault = (faultCode: bigint, faultString: string): string =>
  `${HEAD}<methodResponse><fault>${toXmlValue({ faultCode, faultString })}</fault></methodResponse>`
