// What becomes of a method that a path does not have: 405 with those that it has (RFC 9110, section
// 15.5.6).

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context, Hono } from 'hono'
import type { NodeEnvironment } from './environment.ts'
import { errorReply, MethodNotAllowedError } from './error-response.ts'
import { answer } from './upload.ts'

/** To be called when the methods that `path` has are there. `path/` is the same. */
export const refuseOtherMethods = (
  app: Hono<NodeEnvironment>,
  path: string,
  allowed: readonly string[],
): void => {
  const refuse = ({ req, env }: Context<NodeEnvironment>): Response => {
    const error = new MethodNotAllowedError(req.method, path, allowed)
    answer(env.incoming, env.outgoing, errorReply(error, req.header('accept')))
    return RESPONSE_ALREADY_SENT
  }
  app.all(path, refuse)
  app.all(`${path}/`, refuse)
}
