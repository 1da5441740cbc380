// How a download ends that failed: refused where nothing has gone out, else with a broken
// connection, so that what is cut short never looks whole.

import type { Context } from 'hono'
import { toAppError } from '../src/errors.ts'
import type { Logger } from '../src/log.ts'
import type { NodeEnvironment } from './environment.ts'
import { errorReply, logRefusal } from './error-response.ts'
import { answer } from './upload.ts'

/** @param what for the log: `an export` */
export const endWithError = (
  c: Context<NodeEnvironment>,
  log: Logger,
  error: unknown,
  what: string,
): void => {
  const { incoming, outgoing } = c.env
  const reason = toAppError(error)
  if (!outgoing.headersSent) {
    const reply = errorReply(reason, c.req.header('accept'))
    logRefusal(log, reply, reason, `${what} was refused`)
    answer(incoming, outgoing, reply)
    return
  }
  outgoing.destroy()
  const begun = { code: reason.code, reason: reason.message, path: c.req.path }
  if (reason.code === 'TASK_CANCELLED') log.info(begun, `${what} was left`)
  else log.error({ ...begun, error }, `${what} failed after it had begun`)
}
