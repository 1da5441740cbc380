// Waits for a task on behalf of an xe, draws its progress, and stops it when the xe has gone.

import { setTimeout as delay } from 'node:timers/promises'
import { TaskFailedError } from './cli-error.ts'
import type { CommandContext } from './commands/command.ts'
import { createProgressBar } from './progress-bar.ts'

/** How often a task is looked at, in milliseconds. */
const interval = 200

/** How long a task may still learn why its client failed, in milliseconds. */
const lastWords = 1000

export interface TaskRecord {
  readonly status: string
  readonly progress: number
  readonly result: string
  readonly error_info: readonly string[]
}

type Watched = Pick<CommandContext, 'api' | 'client' | 'params'>

const look = async ({ api }: Watched, task: string): Promise<TaskRecord> =>
  (await api('task.get_record', task)) as TaskRecord

/** @param stop ends the waiting with what the task is then; a client that has gone ends it with a throw */
const untilOver = async (
  watched: Watched,
  task: string,
  stop?: AbortSignal,
): Promise<TaskRecord> => {
  const { client, params } = watched
  const bar = params.flag('progress') ? createProgressBar() : undefined
  for (;;) {
    client.gone.throwIfAborted()
    const record = await look(watched, task)
    const line = bar?.update(record.progress)
    if (line !== undefined) client.send({ kind: 'printStderr', text: `\r${line}` })
    const isOver = record.status !== 'pending' && record.status !== 'cancelling'
    if (isOver && bar !== undefined) {
      client.send({ kind: 'printStderr', text: `\n${bar.summary()}` })
    }
    if (isOver || stop?.aborted === true) return record
    const wake = AbortSignal.any([client.gone, ...(stop === undefined ? [] : [stop])])
    await delay(interval, undefined, { signal: wake }).catch(() => {})
  }
}

/** @throws TaskFailedError unless the task has succeeded; its result else */
const resultOf = ({ status, error_info: errorInfo, result }: TaskRecord, task: string): string => {
  if (status === 'success') return result
  throw new TaskFailedError(status === 'failure' ? errorInfo : ['TASK_CANCELLED', task])
}

/**
 * Makes a call behind a task and waits for it; its result as the task tells it.
 * @throws TaskFailedError, AppError
 */
export const runBehindTask = async (
  watched: Watched,
  method: string,
  ...params: unknown[]
): Promise<string> => {
  const task = String(await watched.api(`Async.${method}`, ...params))
  return withTask(watched, task, async () => resultOf(await untilOver(watched, task), task))
}

/**
 * Lets the client transfer something over a connection of its own, and waits for the task and for the client.
 * @param ask sends the client what it shall do, given the reference of the task
 * @throws TaskFailedError with the reason that the task knows, or CLIENT_ERROR
 */
export const trackTransfer = async (
  watched: Watched,
  label: string,
  ask: (task: string) => void,
): Promise<string> => {
  const task = String(await watched.api('task.create', label, ''))
  return withTask(watched, task, async () => {
    ask(task)
    const gaveUp = new AbortController()
    const answered = watched.client.response().then((answer) => {
      // It may have failed before its request came here, and then nothing ends the task.
      if (answer === 'failed') setTimeout(() => gaveUp.abort(), lastWords)
      return answer
    })
    const [record, answer] = await Promise.all([untilOver(watched, task, gaveUp.signal), answered])
    if (answer === 'ok') return resultOf(record, task)
    throw new TaskFailedError(record.error_info.length > 0 ? record.error_info : ['CLIENT_ERROR'])
  })
}

/** Whatever becomes of the work: a task that still runs is stopped, and the task goes. */
const withTask = async <T>({ api }: Watched, task: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } finally {
    // Harmless for a task that has ended.
    await api('task.cancel', task).catch(() => {})
    await api('task.destroy', task).catch(() => {})
  }
}
