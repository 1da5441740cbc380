// AppError → HTTP: the one table of statuses, and the short text (or JSON) that a person reads.

import type { ErrorCode } from '../src/errors.ts'
import { AppError, StorageError } from '../src/errors.ts'
import type { Logger } from '../src/log.ts'
import { PreconditionFailedError } from './preconditions.ts'
import { StalledUploadError } from './read-body.ts'

const statuses: Readonly<Record<ErrorCode, number>> = {
  CANNOT_CONTACT_HOST: 502,
  DEVICE_ALREADY_EXISTS: 409,
  DUPLICATE_VM: 409,
  EVENT_FROM_TOKEN_PARSE_FAILURE: 400,
  EVENTS_LOST: 409,
  FIELD_TYPE_ERROR: 400,
  HANDLE_INVALID: 404,
  HOST_CANNOT_ATTACH_NETWORK: 400,
  HOST_IS_SHUTTING_DOWN: 503,
  IMPORT_ERROR_GENERIC: 400,
  INTERNAL_ERROR: 500,
  INVALID_DEVICE: 400,
  INVALID_VALUE: 400,
  MAC_INVALID: 400,
  MAP_DUPLICATE_KEY: 400,
  MESSAGE_DEPRECATED: 410,
  MESSAGE_METHOD_UNKNOWN: 404,
  MESSAGE_PARAMETER_COUNT_MISMATCH: 400,
  NOT_IMPLEMENTED: 501,
  OPERATION_BLOCKED: 409,
  OPERATION_NOT_ALLOWED: 409,
  OTHER_OPERATION_IN_PROGRESS: 409,
  PBD_EXISTS: 409,
  RBAC_PERMISSION_DENIED: 403,
  SESSION_AUTHENTICATION_FAILED: 401,
  SESSION_INVALID: 401,
  SESSION_NOT_REGISTERED: 409,
  SR_FULL: 507,
  SR_NOT_ATTACHED: 503,
  SR_NOT_EMPTY: 409,
  SR_OPERATION_NOT_SUPPORTED: 409,
  SR_UNKNOWN_DRIVER: 400,
  SR_UUID_EXISTS: 409,
  TASK_CANCELLED: 409,
  TOO_BUSY: 503,
  TOO_MANY_PENDING_TASKS: 503,
  UUID_INVALID: 404,
  VALUE_NOT_SUPPORTED: 400,
  VBD_CDS_MUST_BE_READONLY: 400,
  VBD_IS_EMPTY: 409,
  VBD_NOT_EMPTY: 409,
  VBD_NOT_REMOVABLE_MEDIA: 409,
  VDI_CBT_ENABLED: 409,
  VDI_INCOMPATIBLE_TYPE: 400,
  VDI_IN_USE: 409,
  VDI_IO_ERROR: 500,
  VDI_MISSING: 404,
  VDI_NO_CBT_METADATA: 409,
  VDI_NOT_IN_MAP: 400,
  VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION: 409,
  VDI_READONLY: 409,
  VDI_TOO_LARGE: 400,
  VDI_TOO_SMALL: 413,
  VM_BAD_POWER_STATE: 409,
  VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED: 409,
}

/** How long a client that met TOO_BUSY should wait, in seconds. */
const retryAfter = 10

export interface ErrorReply {
  readonly status: number
  /**
   * In the status line, where Orchestra looks for the reason of a refused upload; absent: the usual
   * words.
   */
  readonly reason?: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * @param accept the request's Accept header: JSON for those who ask for it
 * @param ioErrorStatus what a failed read means here: 400 while reading an upload, 500 for our own
 *   storage
 */
export const errorReply = (
  error: AppError,
  accept: string | undefined,
  ioErrorStatus: 400 | 500 = 500,
): ErrorReply => {
  const status = statusOf(error, ioErrorStatus)
  const asJson = accept?.includes('application/json') === true
  const { code, params, message } = error
  const headers: Record<string, string> = {
    'content-type': asJson ? 'application/json' : 'text/plain; charset=utf-8',
    'cache-control': 'no-cache, no-store',
  }
  if (status === 401) headers['www-authenticate'] = 'Basic realm="diskport", charset="UTF-8"'
  if (error instanceof UnsatisfiableRangeError) headers['content-range'] = `bytes */${error.size}`
  if (error instanceof MethodNotAllowedError) headers['allow'] = error.allowed.join(', ')
  if (error instanceof PreconditionFailedError && error.etag !== undefined) {
    headers['etag'] = error.etag
  }
  if (error instanceof RefusedHeaderError) Object.assign(headers, error.headers)
  if (status === 503) headers['retry-after'] = String(retryAfter)
  // A sentence among the parameters ends the message: it is not said twice.
  const isSaid = (param: string): boolean => param.includes(' ') && message.endsWith(param)
  const names = params.filter((param) => param !== message && !isSaid(param))
  const said = names.length === 0 ? code : `${code} [${names.join(', ')}]`
  const body = asJson ? JSON.stringify({ code, params, message }) : `${said}: ${message}`
  return { status, reason: code, headers, body: `${body}\n` }
}

/**
 * An upload that only the end of the connection could end, on a connection where nothing can tell
 * it: 411.
 */
export class LengthRequiredError extends AppError {
  constructor() {
    super('INVALID_VALUE', ['Content-Length', ''], {
      message:
        'Send a Content-Length or Transfer-Encoding: chunked; only the first request of a connection may do without',
    })
  }
}

/** A method that the path does not have: 405, with those that it has. */
export class MethodNotAllowedError extends AppError {
  readonly allowed: readonly string[]

  constructor(method: string, path: string, allowed: readonly string[]) {
    super('INVALID_VALUE', ['method', method], {
      message: `${path} does not take ${method}: use ${allowed.join(' or ')}`,
    })
    this.allowed = allowed
  }
}

/**
 * A header that would change what the body means, or how it is framed, in a way that is not known.
 */
export class RefusedHeaderError extends AppError {
  readonly status: 400 | 406 | 415 | 417 | 501
  /** For the answer: what would have been taken. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: 400 | 406 | 415 | 417 | 501,
    name: string,
    value: string,
    message: string,
    headers: Readonly<Record<string, string>>,
  ) {
    super('INVALID_VALUE', [name, value], { message })
    this.status = status
    this.headers = headers
  }
}

/** A range that begins after the last byte: 416, with the size that there is. */
export class UnsatisfiableRangeError extends AppError {
  readonly size: number

  constructor(range: string, size: number) {
    super('INVALID_VALUE', ['Range', range], {
      message: `The range "${range}" holds none of the ${size} bytes there are`,
    })
    this.size = size
  }
}

const statusOf = (error: AppError, ioErrorStatus: number): number => {
  if (error instanceof StalledUploadError) return 408
  if (error instanceof LengthRequiredError) return 411
  if (error instanceof UnsatisfiableRangeError) return 416
  if (error instanceof MethodNotAllowedError) return 405
  if (error instanceof PreconditionFailedError) return 412
  if (error instanceof RefusedHeaderError) return error.status
  if (error instanceof StorageError) return 500
  return error.code === 'VDI_IO_ERROR' ? ioErrorStatus : statuses[error.code]
}

/** A refusal is news, a failure of ours is an error with its stack. */
export const logRefusal = (
  log: Logger,
  { status }: ErrorReply,
  error: AppError,
  message: string,
): void => {
  if (status === 500) log.error({ error, status }, message)
  else log.info({ status, code: error.code, reason: error.message }, message)
}
