// What the two ways into an import have in common, node's request and the bare socket: who may,
// what is asked for, and the task that ends with it. Knows nothing of how the body comes or the
// answer goes.

import { resultOf } from '../src/catalog/tasks/task-outcome.ts'
import { AppError } from '../src/errors.ts'
import type { Imported, ImportRequest, Upload } from '../src/operations/vdi/import-request.ts'
import { resultUuids } from '../src/operations/vdi/import-result.ts'
import type { ErrorReply } from './error-response.ts'
import type { VdiRow } from '../src/catalog/vdis.ts'
import { contentValidators } from '../src/operations/vdi/validators.ts'
import type { OperationContext } from '../src/operations/context.ts'
import { contextOfMove } from '../src/operations/moves/move-context.ts'
import type { Identity } from '../src/xenapi/authenticate.ts'
import { archivedSettings } from '../src/xenapi/archived-settings.ts'
import { moveDenied } from '../src/xenapi/roles.ts'
import { archiveNames } from '../src/operations/vdi/open-upload.ts'
import { importVdi } from '../src/operations/import-vdi.ts'
import type { RouteContext } from './environment.ts'
import { importParameters, machinesParameters } from './parameter-names.ts'
import type { Parameters, RequestFacts } from './params.ts'
import {
  peekParameter,
  readCredentials,
  readChoice,
  readFlag,
  readParameters,
  readReference,
  readSize,
} from './params.ts'
import { checkPreconditions, hasConditions } from './preconditions.ts'
import { runRequest } from './request-task.ts'

export const importPath = '/import_raw_vdi'

/** XenServer's path for whole machines. */
export const machinesPath = '/import'

/** A path has its own permission, and its own way to say what is asked for. */
const handlerOf = ({ url = '' }: RequestFacts) =>
  isMachinesUrl(url)
    ? ({ permission: 'http/put_import', read: readMachines } as const)
    : ({ permission: 'http/put_import_raw_vdi', read: readRequest } as const)

/** The names of the parameters that the path takes. */
export const importParametersOf = ({ url = '' }: { readonly url?: string | undefined }) =>
  isMachinesUrl(url) ? machinesParameters : importParameters

/** Whether the request is for one of the paths of imports. */
export const isImport = ({ url = '' }: { readonly url?: string | undefined }): boolean =>
  url.startsWith(importPath) || isMachinesUrl(url)

const isMachinesUrl = (url: string): boolean => /^\/import\/?(?:$|[?#])/.test(url)

/**
 * Runs the import that the request asks for. A task that the client named has ended when this
 * returns or throws, unless nobody knows who is asking, or the task is not theirs to use.
 * @param readUpload what the headers say of the body; a throw is an outcome too
 * @returns what was made or filled
 * @throws AppError whatever the outcome is; before `accept` of the upload: nothing has been read
 */
export const runImport = async (
  context: RouteContext,
  request: RequestFacts,
  readUpload: () => Upload,
): Promise<Imported> => {
  const { operations, authenticate } = context
  const { permission, read } = handlerOf(request)
  const parameters = readParameters(request)
  const identity = await authenticate(readCredentials(request, parameters), request.socket)
  const asked = { request, parameters, identity, permission } as const
  return runRequest(
    context,
    asked,
    async (task) => {
      const asked = read(parameters, request)
      return importVdi(contextFor(operations, identity, asked), asked, task, readUpload())
    },
    {
      resultOf: (imported) =>
        resultOf(resultUuids(imported, { isRequired: read === readMachines })),
      madeOf: ({ vdiUuids, vmUuids }) => vmUuids[0] ?? vdiUuids[0],
    },
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
  if (!('vdiUuid' in target)) throw moveDenied(identity, 'http/put_import_raw_vdi')
  return contextOfMove(operations, moveUuid)
}

/** One uuid a line: of VMs where machines were asked for, else of VDIs. */
export const importReply = (request: RequestFacts, imported: Imported): ErrorReply => {
  const { vdiUuids, vmUuids } = imported
  const isOfMachines = isMachinesUrl(request.url ?? '')
  return {
    status: 200,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      ...listHeader('vdi-uuid', vdiUuids),
      ...listHeader('vm-uuid', vmUuids),
    },
    body: `${(isOfMachines ? vmUuids : vdiUuids).join('\n')}\n`,
  }
}

/** More would make a head that clients refuse; the body and the task have all. */
const maximumListed = 100

const listHeader = (name: string, uuids: readonly string[]): Record<string, string> =>
  uuids.length === 0 || uuids.length > maximumListed ? {} : { [name]: uuids.join(', ') }

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
  const machines = { isRequired: false, restore: false, settingsOf: archivedSettings }
  return { srUuid: readSr(parameters, name), nameLabel, machines }
}

const readSr = (parameters: Parameters, name: 'sr_uuid' | 'sr_id'): string =>
  parameters(name) === 'default' ? 'default' : readReference(parameters, name, 'SR')

/**
 * As XenServer reads them.
 * @throws AppError INVALID_VALUE, and VALUE_NOT_SUPPORTED for a dry run
 */
const readMachines = (parameters: Parameters, { headers }: RequestFacts): ImportRequest => {
  if (readFlag(parameters, 'dry_run')) {
    const reason = 'nothing can be said of an archive before all of it has been read'
    throw new AppError('VALUE_NOT_SUPPORTED', ['dry_run', 'true', reason])
  }
  const format = readChoice(parameters, 'format', ['auto', ...archiveNames])
  const name = parameters('sr_uuid') === undefined ? 'sr_id' : 'sr_uuid'
  const machines = {
    isRequired: true,
    restore: readFlag(parameters, 'restore'),
    settingsOf: archivedSettings,
  }
  return {
    target: {
      srUuid: parameters(name) === undefined ? 'default' : readSr(parameters, name),
      nameLabel: parameters('name_label') ?? '',
      machines,
    },
    formatName: format ?? 'auto',
    replace: false,
    chunked: false,
    ...(hasConditions(headers) && {
      requireConditions: () => checkPreconditions('PUT', headers, undefined),
    }),
  }
}
