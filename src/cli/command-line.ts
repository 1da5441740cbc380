// The body of a request of xe: a command and its parameters, one a line.

import { parseSize } from '../units.ts'
import { CliError, usageHint } from './cli-error.ts'

export interface CommandLine {
  readonly name: string
  /** In their order; a name may come twice. */
  readonly params: readonly (readonly [name: string, value: string])[]
  /** Instead of user and password. */
  readonly sessionId?: string
  /** Whose the command is, not parameters of it. */
  readonly user: string
  readonly password: string
}

/** Parameters that are no fields of an object, and that every command takes. */
const everywhere = new Set([
  'username',
  'password',
  'server',
  'port',
  'minimal',
  'force',
  'multiple',
  'all',
  'message-priority',
  'trace',
  'debug',
])

/** Of a command. Each costs work, and filters cost it once for every record. */
const maximumParameters = 1000

/**
 * @throws CliError for a line without a command, with too many parameters, or with a switch that xe
 *   should have taken itself
 */
export const parseCommandLine = (body: string): CommandLine => {
  const lines = body
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line !== '')
  const session = /^session_id=(.*)$/.exec(lines[0] ?? '')?.[1]
  const [name, ...rest] = session === undefined ? lines : lines.slice(1)
  if (name === undefined || name.includes('=')) {
    throw new CliError(`Syntax error: command name is missing\n${usageHint}`)
  }
  if (rest.length > maximumParameters) {
    const found = `The command has ${rest.length} parameters, the limit is ${maximumParameters}`
    throw new CliError(`Error: ${found}`)
  }
  const params = rest.map(parseParameter)
  const last = (wanted: string): string => params.findLast(([name]) => name === wanted)?.[1] ?? ''
  return {
    name,
    params: params.filter(([name]) => name !== 'username' && name !== 'password'),
    ...(session === undefined ? {} : { sessionId: session }),
    user: last('username'),
    password: last('password'),
  }
}

const parseParameter = (text: string): readonly [string, string] => {
  if (text.startsWith('--')) return [text.slice(2), 'true']
  if (text.startsWith('-'))
    throw new CliError(`Syntax error: Unknown switch: ${text}\n${usageHint}`)
  const [name = ''] = text.split('=', 1)
  return [name, text.slice(name.length + 1)]
}

/** What a command reads of its parameters. */
export interface Params {
  /** @throws CliError where the parameter is missing or comes twice */
  required(name: string): string
  /** undefined: absent. @throws CliError where it comes twice */
  optional(name: string): string | undefined
  /** Absent is false. @throws CliError for anything but true and false */
  flag(name: string): boolean
  /** In bytes, of a number with or without a unit. @throws CliError */
  size(name: string): number
  /**
   * `name:key=value`, or in the old form `name-key=value`, as a map. @throws CliError for a key
   * that comes twice
   */
  map(name: string): Record<string, string>
  /** All but those that every command takes. */
  readonly all: readonly (readonly [name: string, value: string])[]
}

const definedTwice = (name: string): CliError =>
  new CliError(`Error: Parameter ${name} is defined multiple times, define it only once.`)

/** @throws CliError for the first of the names that comes a second time */
export const requireOnce = (names: readonly string[]): void => {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) throw definedTwice(name)
    seen.add(name)
  }
}

/**
 * The key in `sm-config:key` or, in the old form, `sm-config-key`; undefined for another parameter.
 */
export const keyIn = (map: string, name: string): string | undefined => {
  const separator = name[map.length]
  if (!name.startsWith(map) || (separator !== ':' && separator !== '-')) return undefined
  return name.slice(map.length + 1) || undefined
}

export const createParams = ({ params }: Pick<CommandLine, 'params'>): Params => {
  const byName = Map.groupBy(params, ([name]) => name)
  const optional = (wanted: string): string | undefined => {
    const found = byName.get(wanted) ?? []
    if (found.length > 1) throw definedTwice(wanted)
    return found[0]?.[1]
  }
  const required = (name: string): string => {
    const value = optional(name)
    if (value !== undefined) return value
    throw new CliError(`Required parameter not found: ${name}\n${usageHint}`)
  }
  return {
    optional,
    required,
    flag(name) {
      const value = optional(name)?.toLowerCase() ?? 'false'
      if (['true', 't', '1', 'yes'].includes(value)) return true
      if (['false', 'f', '0', 'no'].includes(value)) return false
      const found = `Failed to parse parameter '${name}': expecting 'true' or 'false'`
      throw new CliError(`Error: ${found}`)
    },
    size(name) {
      const text = required(name)
      const size = parseSize(text)
      if (size !== undefined) return size
      const expected = 'expecting an integer (possibly with suffix KiB, MiB, GiB, TiB)'
      throw new CliError(`Error: Failed to parse field '${name}': ${expected}, got '${text}'`)
    },
    map(wanted) {
      const entries = params.flatMap(([name, value]) => {
        const key = keyIn(wanted, name)
        return key === undefined ? [] : [[key, value] as const]
      })
      requireOnce(entries.map(([key]) => `${wanted}:${key}`))
      return Object.fromEntries(entries)
    },
    all: params.filter(([name]) => !everywhere.has(name)),
  }
}
