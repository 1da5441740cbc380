// PUT /import_raw_vdi: an image file becomes the content of a VDI, or a new VDI. The body is asked
// for only when nothing is left to refuse, and the status is that of the commit.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { toRef } from '../src/catalog/refs.ts'
import { AppError, toAppError } from '../src/errors.ts'
import type { ImportRequest, Upload } from '../src/transfer/import-vdi.ts'
import { importVdi } from '../src/transfer/import-vdi.ts'
import { withTask } from '../src/transfer/with-task.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import { errorReply, logRefusal } from './error-response.ts'
import type { Parameters } from './params.ts'
import { readCredentials, readFlag, readParameters, readReference, readTask } from './params.ts'
import { answer, readBody } from './upload.ts'

const permission = 'http/put_import_raw_vdi'

export const createImportRoute = (context: RouteContext): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  const handle = (c: Context<NodeEnvironment>) => handleImport(context, c)
  app.put('/import_raw_vdi', handle)
  app.put('/import_raw_vdi/', handle)
  return app
}

const handleImport = async (
  { transfer, authorize }: RouteContext,
  c: Context<NodeEnvironment>,
): Promise<Response> => {
  const { incoming, outgoing } = c.env
  try {
    const parameters = readParameters(c)
    await authorize(readCredentials(c, parameters), permission)
    const vdiUuid = await withTask(
      transfer.catalog,
      readTask(parameters),
      (task) => importVdi(transfer, readRequest(parameters), task, uploadOf(c)),
      (uuid) => `<value>${toRef(uuid)}</value>`,
    )
    answer(incoming, outgoing, {
      status: 200,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'vdi-uuid': vdiUuid },
      body: `${vdiUuid}\n`,
    })
  } catch (error) {
    const reason = toAppError(error)
    const reply = errorReply(reason, c.req.header('accept'), 400)
    logRefusal(transfer.log, reply, reason, 'an import was refused')
    answer(incoming, outgoing, reply)
  }
  return RESPONSE_ALREADY_SENT
}

const readRequest = (parameters: Parameters): ImportRequest => ({
  target: readTarget(parameters),
  formatName: parameters('format') ?? 'raw',
  replace: readFlag(parameters, 'replace'),
})

const readTarget = (parameters: Parameters): ImportRequest['target'] => {
  if (parameters('vdi') !== undefined) {
    return { vdiUuid: readReference(parameters, 'vdi', 'VDI') }
  }
  const name = parameters('sr_uuid') === undefined ? 'sr_id' : 'sr_uuid'
  if (parameters(name) === undefined) {
    throw new AppError('INVALID_VALUE', ['vdi', ''], {
      message: 'Name the VDI to write into (vdi=) or the SR to make one in (sr_uuid=)',
    })
  }
  const nameLabel = parameters('name_label') ?? ''
  return parameters(name) === 'default'
    ? { srUuid: 'default', nameLabel }
    : { srUuid: readReference(parameters, name, 'SR'), nameLabel }
}

const uploadOf = (c: Context<NodeEnvironment>): Upload => {
  const { incoming, outgoing } = c.env
  const length = readLength(incoming.headers['content-length'])
  const isChunked = incoming.headers['transfer-encoding'] !== undefined
  // Neither a length nor chunks: HTTP/1.1 says that there is no body.
  const known = length ?? (isChunked ? undefined : 0)
  return {
    ...(known === undefined ? {} : { length: known }),
    accept() {
      if (/100-continue/i.test(incoming.headers.expect ?? '')) outgoing.writeContinue()
      return readBody(incoming)
    },
  }
}

const readLength = (header: string | undefined): number | undefined => {
  if (header === undefined) return undefined
  const length = Number(header)
  if (!Number.isSafeInteger(length)) throw new AppError('INVALID_VALUE', ['Content-Length', header])
  return length
}
