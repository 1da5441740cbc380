// POST /jsonrpc: the calls of XenAPI in JSON. The answer is 200 for XenAPI errors too, and its content
// type is exact: a `; charset=…` makes Xen Orchestra give up.

import type { Context } from 'hono'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { MiB } from '../src/units.ts'
import type { JsonRpc } from '../src/xenapi/json-rpc.ts'
import { unreadableCall } from '../src/xenapi/json-rpc.ts'

const MAXIMUM_BODY = MiB

export interface RpcDependencies {
  readonly jsonRpc: JsonRpc
}

export const createRpcRoutes = ({ jsonRpc }: RpcDependencies): Hono => {
  const limit = bodyLimit({
    maxSize: MAXIMUM_BODY,
    onError: (c) => answer(c, unreadableCall(`the body is longer than ${MAXIMUM_BODY} bytes`), 413),
  })
  return new Hono()
    .post('/jsonrpc', limit, async (c) => {
      const text = decodeUtf8(await c.req.arrayBuffer())
      if (text === undefined) return answer(c, unreadableCall('the body is not UTF-8'))
      return answer(c, await jsonRpc(text))
    })
    .all('/jsonrpc', (c) =>
      c.text('Send calls by POST: {"jsonrpc":"2.0","method":…,"params":[…],"id":1}\n', 405, {
        Allow: 'POST',
      }),
    )
}

const answer = (c: Context, body: string, status: 200 | 413 = 200): Response =>
  c.body(body, status, { 'Content-Type': 'application/json' })

const decodeUtf8 = (bytes: ArrayBuffer): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
