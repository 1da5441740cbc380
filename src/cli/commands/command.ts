// What a command of xe is: a name, what it takes, a text for `help`, and what it does with calls of
// XenAPI.

import type { Params } from '../command-line.ts'
import type { CliClient } from '../cli-client.ts'
import type { Printer } from '../printer.ts'
import type { CliClass } from '../cli-class.ts'
import type { ApiRecord, Ask } from '../cli-class.ts'

export interface Command {
  readonly name: string
  /** For `help <command>`. */
  readonly help: string
  /** Checked before a password is asked for. */
  readonly required: readonly string[]
  /** With `:` at the end: a map, of which each key is a parameter. */
  readonly optional: readonly string[]
  /**
   * Of maps, by their names: the keys that mean something. Others are kept, but one that is nearly
   * such a key is told of.
   */
  readonly keys?: Readonly<Record<string, readonly string[]>>
  /** Parameters are fields, keys or the like, which the command itself checks. */
  readonly checksNames?: boolean
  /** Whether a plain `help` names it. */
  readonly isCommon?: boolean
  /** @throws CliError, TaskFailedError, AppError; the session tells the client and ends with 1 */
  run(context: CommandContext): Promise<void>
}

export interface CommandContext {
  readonly params: Params
  readonly print: Printer
  /** Makes a XenAPI call with the session of the user who runs the command. */
  readonly api: (method: string, ...params: unknown[]) => Promise<unknown>
  /** The same for a call that waits, and ends when the signal is aborted. */
  readonly apiUntil: (signal: AbortSignal, method: string, ...params: unknown[]) => Promise<unknown>
  /** A line that the user types, asked for when all that was sent has been shown. */
  readonly readLine: () => Promise<string>
  readonly session: string
  /**
   * PEM text of the authorities that other servers' certificates must come from; absent: the
   * system's.
   */
  readonly authorities?: string | undefined
  readonly client: CliClient
}

/** The reference of the object with that uuid. @throws AppError UUID_INVALID */
export const refOf = async (
  { api }: CommandContext,
  apiName: string,
  uuid: string,
): Promise<string> => String(await api(`${apiName}.get_by_uuid`, uuid))

/** The object that `uuid=` names. @throws CliError, AppError UUID_INVALID */
export const findRecord = async (
  context: CommandContext,
  { apiName }: CliClass,
): Promise<{ ref: string; record: ApiRecord }> => {
  const ref = await refOf(context, apiName, context.params.required('uuid'))
  return { ref, record: (await context.api(`${apiName}.get_record`, ref)) as ApiRecord }
}

/** Makes each call once in a command. */
export const createAsk = ({ api }: CommandContext): Ask => {
  const known = new Map<string, Promise<unknown>>()
  return (method, ...params) => {
    const call = JSON.stringify([method, ...params])
    const answer = known.get(call) ?? api(method, ...params)
    known.set(call, answer)
    return answer
  }
}

/** The uuid in a reference, or in the `<value>` of a task's result: what commands print. */
export const uuidIn = (result: unknown): string =>
  String(result)
    .replaceAll(/<[^>]*>/g, '')
    .replace(/^OpaqueRef:/, '')
