// The one error type of diskport and the XenAPI codes it may carry. Thrown everywhere, turned into
// an HTTP status only by routes/error-response.ts and into a task's error_info only by the catalog.

/** Of a reference the uuid: people know an object by that. */
const named = (reference = ''): string => reference.replace(/^OpaqueRef:/, '')

/**
 * The XenAPI error codes that diskport reports, each with the sentence that a person reads when
 * the thrower gave no better one. The order of the parameters is XenAPI's.
 */
const sentences = {
  CANNOT_CONTACT_HOST: (params) => `The server ${params[0]} cannot be reached`,
  DEVICE_ALREADY_EXISTS: (params) => `The VM has a device ${params[0]} already`,
  DUPLICATE_VM: (params) => `There is a VM ${named(params[0])} already`,
  EVENT_FROM_TOKEN_PARSE_FAILURE: (params) => `"${params[0]}" is no token of event.from`,
  EVENTS_LOST: () => 'The token is too old: read all records again, and begin with an empty token',
  FIELD_TYPE_ERROR: (params) => `The value of ${params[0]} has the wrong type`,
  HANDLE_INVALID: (params) => `There is no ${params[0]} with the reference ${params[1]}`,
  HOST_CANNOT_ATTACH_NETWORK: (params) =>
    `The host ${named(params[0])} is not attached to the network ${named(params[1])}`,
  HOST_IS_SHUTTING_DOWN: () => 'The server is shutting down',
  IMPORT_ERROR_GENERIC: (params) => params[0] ?? 'The image cannot be imported',
  INTERNAL_ERROR: (params) => params[0] ?? 'Internal error',
  INVALID_DEVICE: (params) => `"${params[0]}" is no device, or all devices are taken`,
  INVALID_VALUE: (params) => `The value "${params[1]}" of ${params[0]} is not valid`,
  MAC_INVALID: (params) => `"${params[0]}" is no MAC address`,
  MAP_DUPLICATE_KEY: (params) => `The map ${params[1]} of ${params[0]} has the key ${params[3]}`,
  MESSAGE_DEPRECATED: () => 'This message has been deprecated.',
  MESSAGE_METHOD_UNKNOWN: (params) => `There is no method ${params[0]}`,
  MESSAGE_PARAMETER_COUNT_MISMATCH: (params) =>
    `${params[0]} takes ${params[1]} parameters, not ${params[2]}`,
  NOT_IMPLEMENTED: (params) => `${params[0]} is not implemented`,
  OPERATION_BLOCKED: (params) => `The operation is blocked: ${params[1]}`,
  OPERATION_NOT_ALLOWED: (params) => params[0] ?? 'The operation is not allowed',
  OTHER_OPERATION_IN_PROGRESS: (params) =>
    `Another operation is in progress on the ${params[0]} ${named(params[1])}`,
  PBD_EXISTS: (params) => `The SR ${params[0]} has a PBD on the host already: ${params[2]}`,
  RBAC_PERMISSION_DENIED: (params) => `Permission ${params[0]} denied: ${params[1]}`,
  SESSION_AUTHENTICATION_FAILED: () => 'The user name or the password is wrong',
  SESSION_NOT_REGISTERED: () =>
    'The session is not registered for events: call event.register first',
  SESSION_INVALID: () => 'The session is unknown or has expired',
  SR_FULL: ([needed, free]) =>
    needed === undefined
      ? 'The storage repository is full'
      : `The storage repository is full: ${needed} bytes would be stored, ${free} are free`,
  SR_NOT_ATTACHED: (params) => `The storage repository ${named(params[0])} is not attached`,
  SR_NOT_EMPTY: (params) => `The storage repository ${named(params[0])} holds VDIs`,
  SR_OPERATION_NOT_SUPPORTED: (params) =>
    `The storage repository ${named(params[0])} does not allow the operation`,
  SR_UNKNOWN_DRIVER: (params) => `There is no storage manager of the type ${params[0]}`,
  SR_UUID_EXISTS: (params) => `There is an SR with the uuid ${params[0]} already`,
  TASK_CANCELLED: () => 'The task was cancelled',
  TOO_MANY_PENDING_TASKS: (params) => `Too many tasks are pending: ${params[0]}`,
  TOO_BUSY: () => 'Too many transfers are running, try again later',
  UUID_INVALID: () => 'The uuid you supplied was invalid.',
  VALUE_NOT_SUPPORTED: (params) => `The value "${params[1]}" of ${params[0]}: ${params[2]}`,
  VBD_CDS_MUST_BE_READONLY: () => 'A CD drive must be read-only',
  VBD_IS_EMPTY: (params) => `The drive ${named(params[0])} is empty`,
  VBD_NOT_EMPTY: (params) => `The drive ${named(params[0])} is not empty`,
  VBD_NOT_REMOVABLE_MEDIA: (params) => `The disk ${named(params[0])} cannot be taken out`,
  VDI_CBT_ENABLED: (params) => `The VDI ${named(params[0])} has changed block tracking enabled`,
  VDI_INCOMPATIBLE_TYPE: (params) => params[1] ?? 'The type of the VDI does not allow this',
  VDI_IN_USE: (params) => `The VDI ${named(params[0])} is in use by ${params[1]}`,
  VDI_IO_ERROR: (params) => params[0] ?? 'The disk could not be read or written',
  VDI_MISSING: (params) => `The VDI ${named(params[1])} is not there`,
  VDI_NO_CBT_METADATA: (params) => `The VDI ${named(params[0])} keeps no changed blocks`,
  VDI_NOT_IN_MAP: (params) => `The VDI ${named(params[0])} has no storage repository to go to`,
  VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION: () =>
    'A disk that is reset at each boot cannot be moved',
  VDI_READONLY: (params) => `The VDI ${named(params[0])} is read-only`,
  VDI_TOO_LARGE: (params) => `The VDI ${named(params[0])} is larger than ${params[1]} bytes`,
  VDI_TOO_SMALL: (params) => `The VDI ${named(params[0])} is smaller than ${params[1]} bytes`,
  VM_BAD_POWER_STATE: (params) => `The VM ${named(params[0])} is ${params[2]}, not ${params[1]}`,
  VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED: (params) =>
    `No guest runs in the VM ${named(params[0])} that could be quiesced`,
} satisfies Record<string, (params: readonly string[]) => string>

export type ErrorCode = keyof typeof sentences

/**
 * The sentence for a code that came as text, as in the error_info of a task; undefined for one that
 * is not ours.
 */
export const sentenceOf = (code: string, params: readonly string[]): string | undefined =>
  Object.hasOwn(sentences, code) ? sentences[code as ErrorCode](params) : undefined

interface AppErrorOptions {
  /** What a person reads: what was tried, what was found, with numbers. */
  message?: string
  cause?: unknown
}

/** A failure with a XenAPI code and its parameters; `message` is the sentence for people. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly params: readonly string[]

  constructor(code: ErrorCode, params: readonly string[], options: AppErrorOptions = {}) {
    super(
      options.message ?? sentences[code](params),
      options.cause === undefined ? {} : { cause: options.cause },
    )
    this.name = 'AppError'
    this.code = code
    this.params = params
  }
}

/**
 * An image that breaks the rules of its format or a limit, at rest or on its way in.
 * @param what what was being done, for example `Cannot decode qcow2`
 * @param found what was found, with numbers: `cluster_bits is 8, must be 9 to 21`
 */
export const imageError = (what: string, found: string): AppError =>
  new AppError('IMPORT_ERROR_GENERIC', [`${what}: ${found}`])

/**
 * An image that names bytes after its end: cut short, or damaged. An import calls it an incomplete
 * upload, as where a stream of unknown length ends before these bytes.
 */
export class PastEndError extends AppError {
  /** @param what, found as for imageError */
  constructor(what: string, found: string) {
    super('IMPORT_ERROR_GENERIC', [`${what}: ${found}`])
  }
}

/**
 * An upload that ended before what it holds did. The code is XenAPI's only one for it; the sentence
 * says that the upload is at fault, and not the storage.
 */
export const incompleteUpload = (found: string): AppError =>
  new AppError('VDI_IO_ERROR', [`${found}; the upload is incomplete: send all of the image`])

/** As incompleteUpload, of a stream. @param what, found as for imageError */
export const cutShort = (what: string, found: string): AppError =>
  incompleteUpload(`${what}: ${found}`)

/**
 * A file of a storage repository that cannot be read: VDI_IO_ERROR, and never the mistake of
 * whoever sends or asks.
 */
export class StorageError extends AppError {
  constructor(message: string, cause?: unknown) {
    super('VDI_IO_ERROR', [message], { cause })
  }
}

/** Any thrown value as an AppError: what is not one already becomes INTERNAL_ERROR. */
export const toAppError = (error: unknown): AppError => {
  if (error instanceof AppError) return error
  if (isNodeError(error) && error.code === 'ENOSPC') {
    const message = 'The storage repository is full: no space is left on its device'
    return new AppError('SR_FULL', [], { message, cause: error })
  }
  if (sqliteCodeOf(error) === SQLITE_FULL) {
    const message = "The server's data folder is full: nothing can be recorded until space is freed"
    return new AppError('SR_FULL', [], { message, cause: error })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new AppError('INTERNAL_ERROR', [message], { cause: error })
}

const SQLITE_FULL = 13

/** The primary result code of SQLite; undefined for an error of another kind. */
export const sqliteCodeOf = (error: unknown): number | undefined =>
  // Extended codes keep the primary one in their lowest byte.
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined

/** An error of the operating system, with its `code` such as ENOENT. */
export const isNodeError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string'
