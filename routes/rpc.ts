// The calls of XenAPI: POST /jsonrpc in JSON, POST /, /RPC2 and /xmlrpc in XML. The answer is 200 for
// XenAPI errors too, and its content type is exact: a `; charset=…` makes Xen Orchestra give up.

import type { Context } from 'hono'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { MiB } from '../src/units.ts'
import type { JsonRpc } from '../src/xenapi/json-rpc.ts'
import { unreadableCall } from '../src/xenapi/json-rpc.ts'
import type { XmlRpc } from '../src/xenapi/xml-rpc.ts'
import { unreadableXmlCall } from '../src/xenapi/xml-rpc.ts'

const MAXIMUM_BODY = MiB

export interface RpcDependencies {
  readonly jsonRpc: JsonRpc
  readonly xmlRpc: XmlRpc
}

/** Calls in one form of text. */
interface Protocol {
  readonly contentType: string
  readonly answer: (text: string, signal: AbortSignal) => Promise<string>
  /** The answer to what is no text of it. */
  readonly unreadable: (found: string) => string
  /** What to send, for people. */
  readonly usage: string
}

export const createRpcRoutes = ({ jsonRpc, xmlRpc }: RpcDependencies): Hono => {
  const json: Protocol = {
    contentType: 'application/json',
    answer: jsonRpc,
    unreadable: unreadableCall,
    usage: 'Send calls by POST: {"jsonrpc":"2.0","method":…,"params":[…],"id":1}\n',
  }
  const xml: Protocol = {
    contentType: 'text/xml',
    answer: xmlRpc,
    unreadable: unreadableXmlCall,
    usage: 'Send calls by POST: <methodCall><methodName>…</methodName><params>…\n',
  }
  const app = new Hono()
  addProtocol(app, '/jsonrpc', json)
  for (const path of ['/', '/RPC2', '/xmlrpc']) addProtocol(app, path, xml)
  return app
}

const addProtocol = (app: Hono, path: string, protocol: Protocol): void => {
  const { contentType, answer, unreadable, usage } = protocol
  const reply = (c: Context, body: string, status: 200 | 413 = 200): Response =>
    c.body(body, status, { 'Content-Type': contentType })
  const limit = bodyLimit({
    maxSize: MAXIMUM_BODY,
    onError: (c) => reply(c, unreadable(`the body is longer than ${MAXIMUM_BODY} bytes`), 413),
  })
  app.post(path, limit, async (c) => {
    const text = decodeUtf8(await c.req.arrayBuffer())
    if (text === undefined) return reply(c, unreadable('the body is not UTF-8'))
    return reply(c, await answer(text, c.req.raw.signal))
  })
  app.all(path, (c) => c.text(usage, 405, { Allow: 'POST' }))
}

const decodeUtf8 = (bytes: ArrayBuffer): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
