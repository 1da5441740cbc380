// What a request asks for, read from its query, its cookies and its headers. Touches no body.

import type { Socket } from 'node:net'
import { refToUuid, toRef } from '../src/refs.ts'
import { AppError } from '../src/errors.ts'
import { alignUp, parseSize, SECTOR_SIZE } from '../src/units.ts'
import type { Credentials } from '../src/xenapi/authenticate.ts'
import type { ParameterName } from './parameter-names.ts'
import { mayBeEmpty } from './parameter-names.ts'
import type { ConditionHeaders } from './preconditions.ts'

/**
 * A parameter by name; undefined where it is absent. The query is asked before the cookies.
 * @throws AppError INVALID_VALUE where the query gives two values, or none where it should give one
 */
export type Parameters = (name: ParameterName) => string | undefined

/** What of a request tells them: one of node:http, or one that the socket front has read. */
export interface RequestFacts {
  /** Path and query. */
  readonly url?: string | undefined
  /** That it came on. */
  readonly socket?: Socket
  /** Names in lower case. */
  readonly headers: {
    readonly cookie?: string | undefined
    readonly authorization?: string | undefined
    readonly accept?: string | undefined
  } & ConditionHeaders
}

/**
 * Parameters from query and cookies; cookies are separated by `;` or `&`, as XenAPI clients send
 * them.
 */
export const readParameters = ({ url = '', headers }: RequestFacts): Parameters => {
  const query = new URLSearchParams(/\?([^#]*)/.exec(url)?.[1])
  const cookies = parseCookies(headers.cookie ?? '')
  return (name) => {
    const values = new Set(query.getAll(name))
    if (values.size > 1) throw ambiguous(name, [...values])
    if (values.has('') && !mayBeEmpty.has(name)) throw empty(name)
    const value = query.get(name) ?? cookies.get(name)
    return value === '' ? undefined : value
  }
}

/**
 * The first value of a parameter, whatever else the request says of it: for the log, and where a
 * refusal is told.
 */
export const peekParameter = (
  { url = '', headers }: RequestFacts,
  name: ParameterName,
): string | undefined => {
  const query = new URLSearchParams(/\?([^#]*)/.exec(url)?.[1])
  return query.get(name) || parseCookies(headers.cookie ?? '').get(name) || undefined
}

const ambiguous = (name: ParameterName, values: readonly string[]): AppError => {
  const message = `${name} has ${values.length} values, "${values[0]}" and "${values[1]}": give one`
  return new AppError('INVALID_VALUE', [name, values[1]!], { message })
}

/** Such as `&base=$BASE` of a script in which BASE is not set. */
const empty = (name: ParameterName): AppError =>
  new AppError('INVALID_VALUE', [name, ''], {
    message: `${name} is empty: give it a value, or leave it out`,
  })

const parseCookies = (header: string): Map<string, string> => {
  const cookies = new Map<string, string>()
  for (const pair of header.split(/[;&]/)) {
    const separator = pair.indexOf('=')
    if (separator > 0) {
      cookies.set(pair.slice(0, separator).trim(), decode(pair.slice(separator + 1).trim()))
    }
  }
  return cookies
}

/** Percent-decoding that leaves alone what is not percent-encoded. */
const decode = (value: string): string => {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/**
 * `true`, `1` and `yes` are true; `false`, `0`, `no` and absence are false; anything else is
 * refused.
 */
export const readFlag = (parameters: Parameters, name: ParameterName): boolean => {
  const value = parameters(name)?.toLowerCase()
  if (value === undefined || ['false', '0', 'no'].includes(value)) return false
  if (['true', '1', 'yes'].includes(value)) return true
  throw new AppError('INVALID_VALUE', [name, value])
}

/**
 * Whether the content of two VDIs is compared; undefined where the client leaves that to the
 * server.
 */
export const readNarrowing = (parameters: Parameters): 'always' | 'never' | undefined => {
  if (parameters('narrow') === undefined) return undefined
  return readFlag(parameters, 'narrow') ? 'always' : 'never'
}

/** One of `choices`, or undefined where the parameter is absent. */
export const readChoice = <T extends string>(
  parameters: Parameters,
  name: ParameterName,
  choices: readonly T[],
): T | undefined => {
  const value = parameters(name)?.toLowerCase()
  if (value === undefined) return undefined
  const choice = choices.find((known) => known === value)
  if (choice === undefined) {
    const message = `${name} is "${value}", must be one of ${choices.join(', ')}`
    throw new AppError('INVALID_VALUE', [name, value], { message })
  }
  return choice
}

/**
 * A size in bytes, or with a unit such as 10GiB, as that of a disk: in whole sectors. undefined
 * where it is absent.
 * @throws AppError INVALID_VALUE for anything else, and for 0
 */
export const readSize = (parameters: Parameters, name: ParameterName): number | undefined => {
  const value = parameters(name)
  if (value === undefined) return undefined
  const size = alignUp(parseSize(value) ?? 0, SECTOR_SIZE)
  if (size > 0) return size
  const message = `${name} is "${value}", must be a number of bytes above 0, or one with a unit such as 10GiB`
  throw new AppError('INVALID_VALUE', [name, value], { message })
}

/** `session_id` and HTTP Basic, whatever the request carries of them. */
export const readCredentials = ({ headers }: RequestFacts, parameters: Parameters): Credentials => {
  const sessionId = parameters('session_id')
  const basic = parseBasic(headers.authorization)
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(basic === undefined ? {} : { basic }),
  }
}

// RFC 7617: the user name ends at the first colon, the password may hold others.
const parseBasic = (header: string | undefined): Credentials['basic'] => {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/**
 * The uuid of the object that a parameter names by reference or uuid.
 * @param className for the message: `VDI`
 * @throws AppError INVALID_VALUE where the parameter is missing, HANDLE_INVALID where it can name
 *   nothing
 */
export const readReference = (
  parameters: Parameters,
  name: ParameterName,
  className: string,
): string => {
  const value = parameters(name)
  if (value === undefined) {
    const message = `The parameter ${name} is missing: the reference or uuid of a ${className}`
    throw new AppError('INVALID_VALUE', [name, ''], { message })
  }
  const uuid = refToUuid(value)
  if (uuid === undefined) throw new AppError('HANDLE_INVALID', [className, value])
  return uuid
}

/** The reference of the client's task; undefined where it has none. */
export const readTask = (parameters: Parameters): string | undefined =>
  parameters('task_id') === undefined
    ? undefined
    : toRef(readReference(parameters, 'task_id', 'task'))
