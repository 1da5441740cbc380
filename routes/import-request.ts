// What the two ways into an import have in common, node's request and the bare socket: who may,
// what is asked for, and the task that ends with it. Knows nothing of how the body comes or the
// answer goes.

import { resultOf } from '../src/catalog/tasks/task-outcome.ts'
import { AppError } from '../src/errors.ts'
import type { ImportRequest, Upload } from '../src/operations/vdi/import-request.ts'
import type { ErrorReply } from './error-response.ts'
import type { VdiRow } from '../src/catalog/vdis.ts'
import { contentValidators } from '../src/operations/vdi/validators.ts'
import type { OperationContext } from '../src/operations/context.ts'
import { contextOfMove } from '../src/operations/moves/move-context.ts'
import type { Identity } from '../src/xenapi/authenticate.ts'
import { moveDenied } from '../src/xenapi/roles.ts'
import { importVdi } from '../src/operations/import-vdi.ts'
import type { RouteContext } from './environment.ts'
import type { Parameters, RequestFacts } from './params.ts'
import {
  peekParameter,
  readCredentials,
  readFlag,
  readParameters,
  readReference,
  readSize,
} from './params.ts'
import { checkPreconditions, hasConditions } from './preconditions.ts'
import { runRequest } from './request-task.ts'

export const importPath = '/import_raw_vdi'

const permission = 'http/put_import_raw_vdi'

/**
 * Runs the import that the request asks for. A task that the client named has ended when this
 * returns or throws, unless nobody knows who is asking, or the task is not theirs to use.
 * @param readUpload what the headers say of the body; a throw is an outcome too
 * @returns the uuid of the VDI
 * @throws AppError whatever the outcome is; before `accept` of the upload: nothing has been read
 */
export const runImport = async (
  context: RouteContext,
  request: RequestFacts,
  readUpload: () => Upload,
): Promise<string> => {
  const { operations, authenticate } = context
  const parameters = readParameters(request)
  const identity = await authenticate(readCredentials(request, parameters), request.socket)
  const asked = { request, parameters, identity, permission } as const
  return runRequest(
    context,
    asked,
    async (task) => {
      const asked = readRequest(parameters, request)
      return importVdi(contextFor(operations, identity, asked), asked, task, readUpload())
    },
    { resultOf, madeOf: (uuid) => uuid },
  )
}

/** @throws AppError RBAC_PERMISSION_DENIED where the session of a move would make a new VDI */
const contextFor = (
  operations: OperationContext,
  identity: Identity,
  { target }: ImportRequest,
): OperationContext => {
  const { moveUuid } = identity
  if (moveUuid === undefined) return operations
  if (!('vdiUuid' in target)) throw moveDenied(identity, permission)
  return contextOfMove(operations, moveUuid)
}

/** @param uuid as runImport returned it */
export const importReply = (uuid: string): ErrorReply => ({
  status: 200,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'vdi-uuid': uuid },
  body: `${uuid}\n`,
})

/** Whether the client looks at a task for the outcome. */
export const hasTask = (request: RequestFacts): boolean =>
  peekParameter(request, 'task_id') !== undefined

/**
 * Whether an empty upload just before could not have shown this refusal. Orchestra sends one, takes
 * any other status than 200 from it for the reason, and after that looks for the reason in the
 * task, but only behind a 200.
 */
export const isSurprise = ({ code }: AppError): boolean => surprises.has(code)

const surprises: ReadonlySet<string> = new Set([
  'VDI_TOO_SMALL',
  'OTHER_OPERATION_IN_PROGRESS',
  'SR_FULL',
  'TOO_BUSY',
])

const readRequest = (parameters: Parameters, { headers }: RequestFacts): ImportRequest => {
  const formatName = parameters('format')
  const size = readSize(parameters, 'size')
  return {
    target: readTarget(parameters),
    ...(formatName !== undefined && { formatName }),
    replace: readFlag(parameters, 'replace'),
    chunked: readFlag(parameters, 'chunked'),
    short: readFlag(parameters, 'short'),
    ...(size === undefined ? {} : { size }),
    ...(hasConditions(headers) && {
      requireConditions: (vdi: VdiRow | undefined) => {
        checkPreconditions('PUT', headers, vdi && contentValidators(vdi))
      },
    }),
  }
}

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
