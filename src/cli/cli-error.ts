// What goes wrong in a command, and how xe shows it: a sentence, then a line for each parameter.

import { nullRef } from './cli-class.ts'
import { AppError, sentenceOf, toAppError } from '../errors.ts'
import type { Message } from './protocol.ts'

export const usageHint = "For usage run: 'xe help'"

/** A mistake in how a command was called; the message is what xe prints. */
export class CliError extends Error {}

/** An error of XenAPI that came by another way than a throw: in a task. */
export class TaskFailedError extends Error {
  readonly code: string
  readonly params: readonly string[]

  constructor([code = 'INTERNAL_ERROR', ...params]: readonly string[]) {
    super(sentenceOf(code, params) ?? code)
    this.code = code
    this.params = params
  }
}

/** The names of the parameters of XenAPI's errors, in their order. */
const parameterNames: Readonly<Record<string, readonly string[]>> = {
  CANNOT_CONTACT_HOST: ['host'],
  CLIENT_ERROR: [],
  DEVICE_ALREADY_EXISTS: ['device'],
  DUPLICATE_VM: ['vm'],
  FIELD_TYPE_ERROR: ['field'],
  HANDLE_INVALID: ['class', 'handle'],
  HOST_CANNOT_ATTACH_NETWORK: ['host', 'network'],
  HOST_IS_SHUTTING_DOWN: [],
  IMPORT_ERROR_GENERIC: ['msg'],
  INTERNAL_ERROR: ['message'],
  INVALID_DEVICE: ['device'],
  INVALID_VALUE: ['field', 'value'],
  MAC_INVALID: ['MAC'],
  MAP_DUPLICATE_KEY: ['type', 'param_name', 'uuid', 'key'],
  MESSAGE_DEPRECATED: [],
  MESSAGE_METHOD_UNKNOWN: ['method'],
  MESSAGE_PARAMETER_COUNT_MISMATCH: ['method', 'expected', 'received'],
  NOT_IMPLEMENTED: ['function'],
  OPERATION_BLOCKED: ['ref', 'code'],
  OPERATION_NOT_ALLOWED: ['reason'],
  OTHER_OPERATION_IN_PROGRESS: ['class', 'object'],
  PBD_EXISTS: ['sr', 'host', 'pbd'],
  RBAC_PERMISSION_DENIED: ['permission', 'message'],
  SESSION_INVALID: ['handle'],
  SR_FULL: ['requested', 'maximum'],
  SR_NOT_ATTACHED: ['sr'],
  SR_NOT_EMPTY: ['sr'],
  SR_OPERATION_NOT_SUPPORTED: ['sr'],
  SR_UNKNOWN_DRIVER: ['driver name'],
  SR_UUID_EXISTS: ['uuid'],
  TASK_CANCELLED: ['task'],
  TOO_BUSY: [],
  UUID_INVALID: ['type', 'uuid'],
  VALUE_NOT_SUPPORTED: ['field', 'value', 'reason'],
  VBD_CDS_MUST_BE_READONLY: [],
  VBD_IS_EMPTY: ['vbd'],
  VBD_NOT_EMPTY: ['vbd'],
  VBD_NOT_REMOVABLE_MEDIA: ['vbd'],
  VDI_CBT_ENABLED: ['vdi'],
  VDI_INCOMPATIBLE_TYPE: ['vdi', 'type'],
  VDI_IN_USE: ['vdi', 'operation'],
  VDI_IO_ERROR: ['reason'],
  VDI_NO_CBT_METADATA: ['vdi'],
  VDI_NOT_IN_MAP: ['vdi'],
  VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION: [],
  VDI_READONLY: ['vdi'],
  VDI_TOO_LARGE: ['vdi', 'maximum size'],
  VDI_TOO_SMALL: ['vdi', 'minimum size'],
  VM_BAD_POWER_STATE: ['vm', 'expected', 'actual'],
  VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED: ['vm'],
}

/** What tells the client of an error; `exit` comes after it. */
export const errorMessages = (error: unknown): readonly Message[] => {
  if (error instanceof CliError) return [toStderr(error.message)]
  const failure = error instanceof TaskFailedError ? error : toAppError(error)
  if (failure instanceof AppError && failure.code === 'SESSION_AUTHENTICATION_FAILED') {
    return [toStderr(`Authentication failed\n${usageHint}`)]
  }
  const { code, message } = failure
  const names = namesOf(failure)
  if (names === undefined) {
    return [{ kind: 'error', code, params: failure.params.map(withoutPrefixes) }]
  }
  const lines = failure.params.flatMap((value, index) =>
    // The sentence is not repeated, and an object that does not exist has no name.
    value === message || value === nullRef ? [] : [`${names[index] ?? '<extra>'}: ${value}`],
  )
  return [message, ...lines].map(withoutPrefixes).map(toStderr)
}

const namesOf = ({
  code,
  params,
  message,
}: AppError | TaskFailedError): readonly string[] | undefined => {
  // An image format that a storage repository does not hold: no VDI is named then.
  if (code === 'VDI_INCOMPATIBLE_TYPE' && params[1] === message) return ['sr']
  return parameterNames[code]
}

const toStderr = (text: string): Message => ({ kind: 'printStderr', text: `${text}\n` })

/** People know objects by their uuid. */
const withoutPrefixes = (text: string): string => text.replaceAll(/\bOpaqueRef:(?=[0-9a-f])/gi, '')
