// GET and HEAD /vdi_extents: what a VDI holds, or in what it differs from another, as the JSON of
// `qemu-img map --output=json`, whole or a range of the disk.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { writeRunsJson } from '../src/disk/block-map-json.ts'
import { AppError } from '../src/errors.ts'
import type { ExtentsRequest, ReadyExtents } from '../src/operations/list-vdi-extents.ts'
import { listVdiExtents } from '../src/operations/list-vdi-extents.ts'
import type { TaskHandle } from '../src/transfer/with-task.ts'
import { withTask } from '../src/transfer/with-task.ts'
import { KiB } from '../src/units.ts'
import { endWithError } from './end-with-error.ts'
import type { NodeEnvironment, RouteContext } from './environment.ts'
import type { ParameterName } from './parameter-names.ts'
import { extentsParameters, warningOf } from './parameter-names.ts'
import type { Parameters } from './params.ts'
import { readCredentials, readNarrowing, readParameters, readReference } from './params.ts'
import { checkPreconditions } from './preconditions.ts'
import { refuseOtherMethods } from './refuse-method.ts'
import { sendText } from './send-text.ts'
import { leavingOf } from './streaming.ts'
import { setHeaders } from './upload.ts'

/** Characters sent at a time. */
const pieceLength = 64 * KiB

const path = '/vdi_extents'

export const createExtentsRoute = (context: RouteContext): Hono<NodeEnvironment> => {
  const app = new Hono<NodeEnvironment>()
  const handle = (c: Context<NodeEnvironment>) => handleExtents(context, c)
  // Hono answers HEAD with the GET handler; it branches on the method itself.
  app.get(path, handle)
  app.get(`${path}/`, handle)
  refuseOtherMethods(app, path, ['GET', 'HEAD'])
  return app
}

const handleExtents = async (
  { operations, stallTimeout, authenticate, requirePermission }: RouteContext,
  c: Context<NodeEnvironment>,
): Promise<Response> => {
  const { incoming, outgoing } = c.env
  try {
    setHeaders(outgoing, warningOf(incoming, extentsParameters))
    const parameters = readParameters(incoming)
    // Where a disk holds data is part of what an export tells.
    const identity = await authenticate(readCredentials(incoming, parameters), incoming.socket)
    requirePermission(identity, 'http/get_export_raw_vdi')
    const request = { ...readRequest(parameters), clientLeft: leavingOf(outgoing) }
    await withTask(
      operations.catalog,
      { user: identity.user, ref: undefined },
      (task) => listVdiExtents(operations, request, task, deliverTo(c, task, stallTimeout)),
      () => '',
    )
  } catch (error) {
    endWithError(c, operations.log, error, 'a list of extents')
  }
  return RESPONSE_ALREADY_SENT
}

const readRequest = (parameters: Parameters): ExtentsRequest => {
  const narrow = readNarrowing(parameters)
  const [offset, length] = [readBytes(parameters, 'offset'), readBytes(parameters, 'length')]
  return {
    vdiUuid: readReference(parameters, 'vdi', 'VDI'),
    ...(parameters('base') !== undefined && { baseUuid: readReference(parameters, 'base', 'VDI') }),
    ...(narrow !== undefined && { narrow }),
    ...(offset !== undefined && { offset }),
    ...(length !== undefined && { length }),
  }
}

/** A number of bytes; undefined where it is absent. */
const readBytes = (parameters: Parameters, name: ParameterName): number | undefined => {
  const value = parameters(name)
  if (value === undefined) return undefined
  if (/^\d+$/.test(value) && Number.isSafeInteger(Number(value))) return Number(value)
  const message = `${name} is "${value}", must be a whole number of bytes, 0 or more`
  throw new AppError('INVALID_VALUE', [name, value], { message })
}

const deliverTo =
  (c: Context<NodeEnvironment>, task: TaskHandle, stallTimeout: number) =>
  async ({ runs, entryOf, etag, signal, turn, open }: ReadyExtents): Promise<void> => {
    const { outgoing } = c.env
    const verdict = checkPreconditions(c.req.method, c.env.incoming.headers, { etags: [etag] })
    const head = { etag, 'content-type': 'application/json', 'cache-control': 'no-cache, no-store' }
    if (c.req.method === 'HEAD' || verdict === 'not-modified') {
      outgoing.writeHead(verdict === 'not-modified' ? 304 : 200, head)
      outgoing.end()
      return
    }
    await open()
    const pieces = writeRunsJson(runs, entryOf, pieceLength)
    // What fails before the first piece is still a refusal.
    const first = await pieces.next()
    outgoing.writeHead(200, { ...head, ...(task.ref !== undefined && { 'task-id': task.ref }) })
    await sendText(startingWith(first, pieces), outgoing, { signal, turn, stallTimeout })
  }

async function* startingWith(
  first: IteratorResult<string, void>,
  rest: AsyncIterable<string>,
): AsyncGenerator<string, void, undefined> {
  if (first.done !== true) yield first.value
  yield* rest
}
