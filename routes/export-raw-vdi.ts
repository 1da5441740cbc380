// GET and HEAD /export_raw_vdi: a VDI as an image file, whole or a range of it. Everything that can
// be refused is refused before the status line; after it, a failure destroys the connection.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import { Hono } from 'hono'
import type { ExportRequest } from '../src/operations/vdi/open-export.ts'
import { exportVdi } from '../src/operations/export-vdi.ts'
import type { TaskHandle } from '../src/transfer/with-task.ts'
import { deliverTo } from './deliver-export.ts'
import { endWithError } from './end-with-error.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { exportParameters, warningOf } from './parameter-names.ts'
import type { Parameters } from './params.ts'
import {
  readChoice,
  readCredentials,
  readFlag,
  readNarrowing,
  readParameters,
  readReference,
} from './params.ts'
import { refuseOtherMethods } from './refuse-method.ts'
import { runRequest } from './request-task.ts'
import { leavingOf } from './streaming.ts'
import { setHeaders } from './upload.ts'

const path = '/export_raw_vdi'

const permission = 'http/get_export_raw_vdi'

export const createExportRoute = (context: RouteContext): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  const handle = (c: Context<NodeEnvironment>) => handleExport(context, c)
  // Hono answers HEAD with the GET handler; it branches on the method itself.
  app.get(path, handle)
  app.get(`${path}/`, handle)
  refuseOtherMethods(app, path, ['GET', 'HEAD'])
  return app
}

const handleExport = async (
  context: RouteContext,
  c: Context<NodeEnvironment>,
): Promise<Response> => {
  const { operations, stallTimeout, authenticate } = context
  const { incoming, outgoing } = c.env
  try {
    const warning = warningOf(incoming, exportParameters)
    setHeaders(outgoing, { vary: 'Accept-Encoding', ...warning })
    const parameters = readParameters(incoming)
    const identity = await authenticate(readCredentials(incoming, parameters), incoming.socket)
    const isQuestion = c.req.method === 'HEAD'
    const negotiate = readFlag(parameters, 'negotiate')
    const asked = { request: incoming, parameters, identity, permission, isQuestion } as const
    const send = async (task: TaskHandle): Promise<void> => {
      const request = { ...readRequest(parameters), clientLeft: leavingOf(outgoing) }
      const deliver = deliverTo({ incoming, outgoing, task, stallTimeout, negotiate })
      await exportVdi(operations, request, task, deliver)
    }
    await runRequest(context, asked, send, { resultOf: () => '' })
  } catch (error) {
    endWithError(c, operations.log, error, 'an export')
  }
  return RESPONSE_ALREADY_SENT
}

const readRequest = (parameters: Parameters): ExportRequest => {
  const delta = readChoice(parameters, 'delta', ['compatible', 'compact'])
  const place = parameters('for')
  const formatName = parameters('format')
  const subformat = parameters('subformat')
  const compression = parameters('compression')
  const narrow = readNarrowing(parameters)
  const base = parameters('base')
  return {
    vdiUuid: readReference(parameters, 'vdi', 'VDI'),
    ...(place === undefined ? {} : { place }),
    ...(formatName === undefined ? {} : { formatName }),
    options: {
      ...(delta === undefined ? {} : { delta }),
      ...(subformat === undefined ? {} : { subformat }),
      ...(compression === undefined ? {} : { compression }),
    },
    ...(base === undefined ? {} : { baseUuid: readReference(parameters, 'base', 'VDI') }),
    ...(narrow === undefined ? {} : { narrow }),
  }
}
