// Commands beside storage: wait for an event, cancel a task, change one's own password.

import type { CliClass } from '../cli-class.ts'
import { cliClasses } from '../classes.ts'
import { CliError } from '../cli-error.ts'
import { AppError } from '../../errors.ts'
import type { RecordFilter } from '../records.ts'
import type { ApiRecord } from '../cli-class.ts'
import { matchAll, parseFilter } from '../records.ts'
import type { Command, CommandContext } from './command.ts'
import { createAsk, refOf } from './command.ts'

/**
 * How long one call waits for the next change, in seconds; each call counts as a use of the
 * session.
 */
const longestWait = 300

interface EventBatch {
  readonly token: string
  readonly events: readonly { readonly snapshot?: ApiRecord }[]
}

/** @throws CliError */
const requireClass = (name: string): CliClass => {
  const found = cliClasses.find((shown) => shown.name === name)
  if (found !== undefined) return found
  const known = cliClasses.map((shown) => shown.name).join(', ')
  throw new CliError(
    `Error: Cli listening for class '${name}' not currently implemented, for these it is: ${known}`,
  )
}

/** `field=value`, and `field=/=value` for what is not to be. @throws CliError */
const readConditions = (context: CommandContext, shown: CliClass): RecordFilter[] => {
  const ask = createAsk(context)
  return context.params.all
    .filter(([name]) => name !== 'class')
    .map(([name, value]) => {
      const isNegated = value.startsWith('/=')
      const matches = parseFilter(shown, [name, isNegated ? value.slice(2) : value], ask)
      return isNegated ? async (record) => !(await matches(record)) : matches
    })
}

/**
 * Returns as soon as an object of the class, there already or yet to come, meets all conditions.
 */
const waitFor = async (context: CommandContext, shown: CliClass): Promise<void> => {
  const { apiUntil, client } = context
  readConditions(context, shown)
  let token = ''
  for (;;) {
    let batch: EventBatch
    try {
      const wait = token === '' ? 0 : longestWait
      const answer = apiUntil(client.gone, 'event.from', [shown.apiName], token, wait)
      batch = (await answer) as EventBatch
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'EVENTS_LOST')) throw error
      token = ''
      continue
    }
    client.gone.throwIfAborted()
    // Anew for each batch: what they ask may have changed too.
    const matches = matchAll(readConditions(context, shown), client.gone)
    for (const { snapshot } of batch.events) {
      if (snapshot !== undefined && (await matches(snapshot))) return
    }
    token = batch.token
  }
}

export const sessionCommands: readonly Command[] = [
  {
    name: 'event-wait',
    help: "Waits until an object of the class has the values told by 'field=value', or not the one told by 'field=/=value'. Returns at once where there is one already.",
    required: ['class'],
    optional: [],
    checksNames: true,
    run: (context) => waitFor(context, requireClass(context.params.required('class'))),
  },
  {
    name: 'task-cancel',
    help: 'Tells a running task to stop.',
    required: ['uuid'],
    optional: [],
    async run(context) {
      const ref = await refOf(context, 'task', context.params.required('uuid'))
      await context.api('task.cancel', ref)
    },
  },
  {
    name: 'user-password-change',
    help: 'Changes the password of whoever runs it.',
    required: ['new'],
    optional: ['old'],
    async run({ params, api }) {
      const old = params.optional('old') ?? ''
      await api('session.change_password', old, params.required('new'))
    },
  },
]
