// The calls of XenAPI: POST /jsonrpc in JSON, POST /, /RPC2 and /xmlrpc in XML. The answer is 200
// for XenAPI errors too, and its content type is exact: a `; charset=…` makes Xen Orchestra give
// up.

import type { Context } from 'hono'
import { Hono } from 'hono'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { BodyPace } from '../src/net/body-pace.ts'
import type { Answer } from '../src/xenapi/rpc/answer.ts'
import type { JsonRpc } from '../src/xenapi/rpc/json-rpc.ts'
import { unreadableCall } from '../src/xenapi/rpc/json-rpc.ts'
import type { Origin } from '../src/xenapi/origin.ts'
import type { XmlRpc } from '../src/xenapi/rpc/xml-rpc.ts'
import { unreadableXmlCall } from '../src/xenapi/rpc/xml-rpc.ts'
import type { BodyRooms } from './body-room.ts'
import { createBodyRooms } from './body-room.ts'
import { isTooLong, readCallBody } from './call-body.ts'
import type { NodeEnvironment } from './environment.ts'
import { sendAnswer } from './send-answer.ts'
import { serverUrlOf } from './server-url.ts'

interface RpcDependencies {
  readonly jsonRpc: JsonRpc
  readonly xmlRpc: XmlRpc
  /** Where the calls of a connection come from. */
  readonly originOf?: (socket: Socket, via: string) => Origin
  /** Default: that of body-pace.ts. */
  readonly pace?: BodyPace
  /** For the bodies of all calls. */
  readonly rooms?: BodyRooms
  /**
   * How long a client may take nothing of a large answer, in milliseconds. Default: that of
   * send-answer.ts.
   */
  readonly stallLimit?: number
}

/** Calls in one form of text. */
interface Protocol {
  /** For the log. */
  readonly name: string
  readonly contentType: string
  readonly answer: (text: string, signal: AbortSignal, origin?: Origin) => Promise<Answer>
  /** The answer to what is no text of it. */
  readonly unreadable: (found: string) => string
  /** What to send, for people. */
  readonly usage: string
}

export const createRpcRoutes = (dependencies: RpcDependencies): Hono<NodeEnvironment> => {
  const json: Protocol = {
    name: 'JSON-RPC',
    contentType: 'application/json',
    answer: dependencies.jsonRpc,
    unreadable: unreadableCall,
    usage: 'Send calls by POST: {"jsonrpc":"2.0","method":…,"params":[…],"id":1}\n',
  }
  const xml: Protocol = {
    name: 'XML-RPC',
    contentType: 'text/xml',
    answer: dependencies.xmlRpc,
    unreadable: unreadableXmlCall,
    usage: 'Send calls by POST: <methodCall><methodName>…</methodName><params>…\n',
  }
  const app = new Hono<NodeEnvironment>()
  const { rooms = createBodyRooms() } = dependencies
  addProtocol(app, '/jsonrpc', json, dependencies, rooms)
  for (const path of ['/', '/RPC2', '/xmlrpc']) addProtocol(app, path, xml, dependencies, rooms)
  return app
}

const addProtocol = (
  app: Hono<NodeEnvironment>,
  path: string,
  { name, contentType, answer, unreadable, usage }: Protocol,
  { originOf, pace, stallLimit }: RpcDependencies,
  rooms: BodyRooms,
): void => {
  const reply = (c: Context, body: string, status: 200 | 408 | 413 | 503 = 200): Response =>
    c.body(body, status, {
      'Content-Type': contentType,
      ...(status === 408 ? { Connection: 'close' } : {}),
      ...(status === 503 ? { 'Retry-After': '10' } : {}),
    })
  app.post(path, async (c) => {
    // node:http leaves it to the routes to ask for the body of a client that waits.
    if (c.req.header('expect') !== undefined && !isTooLong(c.req.raw)) {
      c.env.outgoing.writeContinue()
    }
    const origin = originOf && originWithUrl(originOf(c.env.incoming.socket, name), c.env.incoming)
    const body = await readCallBody(c.req.raw, rooms.of(origin?.network ?? ''), pace)
    if ('found' in body) return reply(c, unreadable(body.found), body.status)
    // The body counts until it has been answered, the answer until it has left.
    const { signal } = c.req.raw
    const answered = await answer(body.text, signal, origin).finally(() => body.release())
    return sendAnswer(c, answered, { 'Content-Type': contentType }, stallLimit)
  })
  app.all(path, (c) => c.text(usage, 405, { Allow: 'POST' }))
}

const originWithUrl = (origin: Origin, incoming: IncomingMessage): Origin => {
  const serverUrl = serverUrlOf(incoming)
  return serverUrl === undefined ? origin : { ...origin, serverUrl }
}
