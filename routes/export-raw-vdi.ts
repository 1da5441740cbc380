// GET and HEAD /export_raw_vdi: a VDI as an image file, whole or a range of it. Everything that can
// be refused is refused before the status line; after it, a failure destroys the connection.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { AppError } from '../src/errors.ts'
import type { Deliver, ReadyExport } from '../src/operations/export-vdi.ts'
import type { ExportRequest } from '../src/operations/vdi/open-export.ts'
import { exportVdi } from '../src/operations/export-vdi.ts'
import type { TaskHandle } from '../src/transfer/with-task.ts'
import { endWithError } from './end-with-error.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { UnsatisfiableRangeError } from './error-response.ts'
import { exportParameters, warningOf } from './parameter-names.ts'
import type { Parameters } from './params.ts'
import {
  readChoice,
  readCredentials,
  readNarrowing,
  readParameters,
  readReference,
} from './params.ts'
import { checkPreconditions, lastModifiedOf } from './preconditions.ts'
import { chooseRange } from './range.ts'
import { refuseOtherMethods } from './refuse-method.ts'
import { runRequest } from './request-task.ts'
import { leavingOf, sendImage } from './streaming.ts'
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
    setHeaders(outgoing, warningOf(incoming, exportParameters))
    const parameters = readParameters(incoming)
    const identity = await authenticate(readCredentials(incoming, parameters), incoming.socket)
    const isQuestion = c.req.method === 'HEAD'
    const asked = { request: incoming, parameters, identity, permission, isQuestion } as const
    const send = async (task: TaskHandle): Promise<void> => {
      const request = { ...readRequest(parameters), clientLeft: leavingOf(outgoing) }
      await exportVdi(operations, request, task, deliverTo(c, task, stallTimeout))
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
  const narrow = readNarrowing(parameters)
  const base = parameters('base')
  return {
    vdiUuid: readReference(parameters, 'vdi', 'VDI'),
    ...(place === undefined ? {} : { place }),
    ...(formatName === undefined ? {} : { formatName }),
    options: {
      ...(delta === undefined ? {} : { delta }),
      ...(subformat === undefined ? {} : { subformat }),
    },
    ...(base === undefined ? {} : { baseUuid: readReference(parameters, 'base', 'VDI') }),
    ...(narrow === undefined ? {} : { narrow }),
  }
}

const deliverTo =
  (c: Context<NodeEnvironment>, task: TaskHandle, stallTimeout: number): Deliver =>
  async (ready) => {
    const { outgoing } = c.env
    const { image, etag, changedAt, signal, turn, report, verify } = ready
    const isHead = c.req.method === 'HEAD'
    const { headers } = c.env.incoming
    if (checkPreconditions(c.req.method, headers, { etags: [etag], changedAt }) !== 'proceed') {
      outgoing.writeHead(304, validatorsOf(ready))
      outgoing.end()
      return
    }
    // RFC 9110, section 14.2: a Range means something to GET only.
    const asked = isHead ? undefined : c.req.header('range')
    const chosen = chooseRange(image.size, etag, asked, c.req.header('if-range'))
    if (chosen.status === 416) throw new UnsatisfiableRangeError(asked ?? '', image.size)
    const { status, range } = chosen
    if (!isHead) await ready.open()
    outgoing.strictContentLength = true
    outgoing.writeHead(status, {
      ...headersOf(ready),
      ...(task.ref === undefined ? {} : { 'task-id': task.ref }),
      'content-length': range.length,
      ...(status === 206
        ? {
            'content-range': `bytes ${range.offset}-${range.offset + range.length - 1}/${image.size}`,
          }
        : {}),
    })
    if (isHead) {
      outgoing.end()
      return
    }
    let sent = 0
    const onProgress = (bytes: number): void => {
      sent += bytes
      report(sent / range.length)
    }
    const outcome = await sendImage(image, range, outgoing, {
      signal,
      turn,
      stallTimeout,
      onProgress,
      verify,
    })
    if (outcome === 'client-left') {
      const message = `The client left after ${sent} of ${range.length} bytes`
      throw new AppError('TASK_CANCELLED', [task.ref ?? ''], { message })
    }
  }

const headersOf = (ready: ReadyExport): Record<string, string> => ({
  ...validatorsOf(ready),
  'accept-ranges': 'bytes',
  'content-type': ready.mediaType,
  'content-disposition': `attachment; filename="${ready.fileName}"`,
})

const validatorsOf = ({ etag, changedAt }: ReadyExport): Record<string, string> => {
  const lastModified = lastModifiedOf(changedAt, new Date())
  return {
    etag,
    ...(lastModified === undefined ? {} : { 'last-modified': lastModified }),
    'cache-control': 'no-cache, no-store',
  }
}
