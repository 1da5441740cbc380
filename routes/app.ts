// All routes together. main gives them what they work on; nothing here knows how that was made.

import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { IncomingMessage, RequestListener } from 'node:http'
import { Hono } from 'hono'
import { AppError, toAppError } from '../src/errors.ts'
import type { Logger } from '../src/log.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { errorReply } from './error-response.ts'
import { createExportRoute } from './export-raw-vdi.ts'
import { createMachineExportRoute } from './export-machine.ts'
import { createFormatsRoute } from './formats.ts'
import { createImportRoute } from './import-raw-vdi.ts'
import { requireSingleHeaders } from './repeated-headers.ts'
import { answer } from './upload.ts'
import { isImport } from './import-request.ts'
import { requireKnownExpectation } from './upload-headers.ts'
import { createExtentsRoute } from './vdi-extents.ts'

/** The listener for Node's HTTP server. */
export const createListener = (app: Hono<NodeEnvironment>): RequestListener => {
  const listener = getRequestListener(
    async (request, env) => {
      const { incoming, outgoing } = env as NodeEnvironment['Bindings']
      const refusal = errorOf(() => requireCommonHeaders(incoming))
      if (refusal !== undefined) {
        answer(incoming, outgoing, errorReply(refusal, incoming.headers.accept))
        return RESPONSE_ALREADY_SENT
      }
      const response = await app.fetch(request, { incoming, outgoing })
      // Hono wraps the answer to HEAD, and with it hides that the head has been written already.
      return outgoing.headersSent ? RESPONSE_ALREADY_SENT : response
    },
    // HTTP/1.0 has no Host header, and xe sends none.
    { hostname: 'localhost' },
  )
  return (incoming, outgoing) => void listener(incoming, outgoing)
}

/**
 * What every route wants of a head. An expectation that is not known an import refuses itself: it
 * tells its task.
 */
const requireCommonHeaders = (incoming: IncomingMessage): void => {
  requireSingleHeaders(incoming)
  if (!isImport(incoming)) {
    requireKnownExpectation(incoming.headers.expect)
  }
}

const errorOf = (check: () => void): AppError | undefined => {
  try {
    check()
    return undefined
  } catch (error) {
    return toAppError(error)
  }
}

/** @param others routes that stand for themselves: health, rpc */
export const createApp = (
  context: RouteContext,
  log: Logger,
  others: readonly Hono<NodeEnvironment>[],
): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  app.route('/', createExportRoute(context))
  app.route('/', createImportRoute(context))
  app.route('/', createMachineExportRoute(context))
  app.route('/', createExtentsRoute(context))
  app.route('/', createFormatsRoute())
  for (const route of others) app.route('/', route)

  const reply = (error: AppError, accept: string | undefined, status?: number): Response => {
    const { status: usual, headers, body } = errorReply(error, accept)
    return new Response(body, { status: status ?? usual, headers })
  }
  app.notFound((c) => {
    const error = new AppError('INVALID_VALUE', ['path', c.req.path], {
      message: `There is nothing at ${c.req.method} ${c.req.path}`,
    })
    return reply(error, c.req.header('accept'), 404)
  })
  app.onError((error, c) => {
    log.error({ error, path: c.req.path }, 'a request failed')
    return reply(toAppError(error), c.req.header('accept'))
  })
  return app
}
