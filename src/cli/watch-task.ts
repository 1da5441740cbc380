// Waits for a task on behalf of an xe, draws its progress, and stops it when the xe has gone.

import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { TaskFailedError } from './cli-error.ts'
import type { CommandContext } from './commands/command.ts'
import { createProgressBar } from './progress-bar.ts'

/**
 * How long one call waits for the next change, in seconds; each call counts as a use of the
 * session.
 */
const longestWait = 300

/**
 * How long a task may still learn why its client failed, or how it ended while the server stops, in
 * milliseconds.
 */
const lastWords = 1000

/**
 * How often a task is looked at while the server stops and tells no changes any more, in
 * milliseconds.
 */
const lastLooks = 20

interface TaskRecord {
  readonly status: string
  readonly progress: number
  readonly result: string
  readonly error_info: readonly string[]
}

interface EventBatch {
  readonly token: string
  readonly events: readonly {
    readonly operation: 'add' | 'mod' | 'del'
    readonly snapshot?: TaskRecord
  }[]
}

type Watched = Pick<CommandContext, 'api' | 'apiUntil' | 'client' | 'params'>

const look = async ({ api }: Watched, task: string): Promise<TaskRecord> =>
  (await api('task.get_record', task)) as TaskRecord

const isOver = ({ status }: TaskRecord): boolean => status !== 'pending' && status !== 'cancelling'

/**
 * The record of the task now, and again each time it has changed. Ends when `stop` is aborted.
 * @throws AppError HANDLE_INVALID where there is no such task, or no more
 */
async function* recordsOf(
  watched: Watched,
  task: string,
  stop: AbortSignal,
): AsyncGenerator<TaskRecord, void, undefined> {
  let token = ''
  while (!stop.aborted) {
    let batch: EventBatch
    try {
      const wait = token === '' ? 0 : longestWait
      const answer = await watched.apiUntil(stop, 'event.from', [`task/${task}`], token, wait)
      batch = answer as EventBatch
    } catch (error) {
      const code = error instanceof AppError ? error.code : undefined
      if (code === 'HOST_IS_SHUTTING_DOWN') {
        yield* lastRecordsOf(watched, task)
        throw error
      }
      if (code !== 'EVENTS_LOST') throw error
      token = ''
      continue
    }
    const event = batch.events.at(-1)
    const isGone = event === undefined ? token === '' : event.operation === 'del'
    if (isGone) throw new AppError('HANDLE_INVALID', ['task', task])
    token = batch.token
    if (event?.snapshot !== undefined) yield event.snapshot
  }
}

/**
 * A stopping server lets transfers end, and then tells no changes: the last one is still worth a
 * look.
 */
async function* lastRecordsOf(
  watched: Watched,
  task: string,
): AsyncGenerator<TaskRecord, void, undefined> {
  for (let looks = 0; looks < lastLooks; looks += 1) {
    yield await look(watched, task)
    await delay(lastWords / lastLooks)
  }
}

/**
 * @param stop ends the waiting with what the task is then; a client that has gone ends it with a
 *   throw
 */
const untilOver = async (
  watched: Watched,
  task: string,
  stop?: AbortSignal,
): Promise<TaskRecord> => {
  const { client, params } = watched
  const bar = params.flag('progress') ? createProgressBar() : undefined
  const ending = AbortSignal.any([client.gone, ...(stop === undefined ? [] : [stop])])
  for await (const record of recordsOf(watched, task, ending)) {
    const line = bar?.update(record.progress)
    if (line !== undefined) client.send({ kind: 'printStderr', text: `\r${line}` })
    if (!isOver(record)) continue
    if (bar !== undefined) client.send({ kind: 'printStderr', text: `\n${bar.summary()}` })
    return record
  }
  client.gone.throwIfAborted()
  return look(watched, task)
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
 * Lets the client transfer something over a connection of its own, and waits for the task and for
 * the client.
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
