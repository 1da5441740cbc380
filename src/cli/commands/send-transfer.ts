// Lets the client move bytes over a second connection, an ordinary request for this server, and
// waits for the task of that request, which tells the outcome.

import type { Message } from '../protocol.ts'
import { trackTransfer } from '../watch-task.ts'
import type { CommandContext } from './command.ts'

/** How clients call it; an empty name is what the protocol has for it. */
const standardOutput: readonly string[] = ['', '-', '/dev/stdout']

interface Transfer {
  /** Of the task. */
  readonly label: string
  readonly kind: 'httpGet' | 'httpPut'
  /** As the client wrote it. */
  readonly fileName: string
  readonly path: string
  /** What is not told is left out. */
  readonly query: Readonly<Record<string, string | undefined>>
}

/**
 * @returns the result of the task
 * @throws TaskFailedError, AppError
 */
export const sendTransfer = (
  context: CommandContext,
  { label, kind, fileName, path, query }: Transfer,
): Promise<string> =>
  trackTransfer(context, label, (task) => {
    const all = Object.entries({ session_id: context.session, task_id: task, ...query })
    const told = all.filter((entry): entry is [string, string] => entry[1] !== undefined)
    const url = `${path}?${new URLSearchParams(told).toString()}`
    const isStandard = kind === 'httpGet' && standardOutput.includes(fileName)
    context.client.send({ kind, fileName: isStandard ? '' : fileName, url } satisfies Message)
  })
