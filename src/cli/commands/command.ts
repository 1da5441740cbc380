// What a command of xe is: a name, what it takes, a text for `help`, and what it does with calls of XenAPI.

import type { Params } from '../command-line.ts'
import type { CliClient } from '../cli-client.ts'
import type { Printer } from '../printer.ts'

export interface Command {
  readonly name: string
  /** For `help <command>`. */
  readonly help: string
  /** Checked before anybody is asked for a password. */
  readonly required: readonly string[]
  readonly optional: readonly string[]
  /** Whether a plain `help` names it. */
  readonly isCommon?: boolean
  /** @throws CliError, TaskFailedError, AppError; the session tells the client and ends with 1 */
  run(context: CommandContext): Promise<void>
}

export interface CommandContext {
  readonly params: Params
  readonly print: Printer
  /** Makes a call of XenAPI with the session of whoever runs the command. */
  readonly api: (method: string, ...params: unknown[]) => Promise<unknown>
  /** The same for a call that waits, and ends when the signal is aborted. */
  readonly apiUntil: (signal: AbortSignal, method: string, ...params: unknown[]) => Promise<unknown>
  readonly session: string
  readonly client: CliClient
}

/** The reference of the object with that uuid. @throws AppError UUID_INVALID */
export const refOf = async (
  { api }: CommandContext,
  apiName: string,
  uuid: string,
): Promise<string> => String(await api(`${apiName}.get_by_uuid`, uuid))

/** The uuid in a reference, or in the `<value>` of a task's result: what commands print. */
export const uuidIn = (result: unknown): string =>
  String(result)
    .replaceAll(/<[^>]*>/g, '')
    .replace(/^OpaqueRef:/, '')
