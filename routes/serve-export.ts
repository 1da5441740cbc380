// What the routes of exports have in common: who may, the task, the warnings, and how a failure is
// told. Everything that can be refused is refused before the status line; after it, a failure
// destroys the connection.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { ServerResponse } from 'node:http'
import type { Context } from 'hono'
import { Hono } from 'hono'
import type { Deliver } from '../src/operations/vdi/ready-export.ts'
import type { TaskHandle } from '../src/transfer/with-task.ts'
import type { httpPermissions } from '../src/xenapi/roles.ts'
import { deliverTo } from './deliver-export.ts'
import { endWithError } from './end-with-error.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { warningOf } from './parameter-names.ts'
import type { Parameters } from './params.ts'
import { readCredentials, readFlag, readParameters } from './params.ts'
import { refuseOtherMethods } from './refuse-method.ts'
import { runRequest } from './request-task.ts'
import { setHeaders } from './upload.ts'

interface ExportRoute {
  readonly path: string
  readonly permission: keyof typeof httpPermissions
  /** That it takes. */
  readonly parameterNames: readonly string[]
  /** Runs the use case, which calls `deliver`. */
  send(asked: {
    readonly parameters: Parameters
    readonly task: TaskHandle
    readonly deliver: Deliver
    readonly outgoing: ServerResponse
  }): Promise<void>
}

/** GET and HEAD. */
export const serveExport = (context: RouteContext, route: ExportRoute): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  const { path } = route
  const handle = (c: Context<NodeEnvironment>) => handleExport(context, route, c)
  // Hono answers HEAD with the GET handler; it branches on the method itself.
  app.get(path, handle)
  app.get(`${path}/`, handle)
  refuseOtherMethods(app, path, ['GET', 'HEAD'])
  return app
}

const handleExport = async (
  context: RouteContext,
  route: ExportRoute,
  c: Context<NodeEnvironment>,
): Promise<Response> => {
  const { operations, stallTimeout, authenticate } = context
  const { permission, parameterNames } = route
  const { incoming, outgoing } = c.env
  try {
    const warning = warningOf(incoming, parameterNames)
    setHeaders(outgoing, { vary: 'Accept-Encoding', ...warning })
    const parameters = readParameters(incoming)
    const identity = await authenticate(readCredentials(incoming, parameters), incoming.socket)
    const isQuestion = c.req.method === 'HEAD'
    const negotiate = readFlag(parameters, 'negotiate')
    const asked = { request: incoming, parameters, identity, permission, isQuestion } as const
    const send = (task: TaskHandle): Promise<void> => {
      const deliver = deliverTo({ incoming, outgoing, task, stallTimeout, negotiate })
      return route.send({ parameters, task, deliver, outgoing })
    }
    await runRequest(context, asked, send, { resultOf: () => '' })
  } catch (error) {
    endWithError(c, operations.log, error, 'an export')
  }
  return RESPONSE_ALREADY_SENT
}
