// Makes a call: finds the method, checks the session, the number of parameters and the role, and
// runs it, at once or, for `Async.…`, behind a task. Both wire protocols end here.

import { AppError, toAppError } from '../errors.ts'
import { noTask, withTask } from '../transfer/with-task.ts'
import type { AnswerRoom, AnswerWork } from './wire/answer-room.ts'
import { createAnswerRoom } from './wire/answer-room.ts'
import { withAudit } from './audit.ts'
import type { XenApiContext } from './context.ts'
import type { Call, Method, SessionMethod } from './method.ts'
import { requireCount } from './method.ts'
import { methods } from './methods/methods.ts'
import type { Origin } from './origin.ts'
import { ownOrigin } from './origin.ts'
import { hasRole, isForSession, moveDenied, roleDenied } from './roles.ts'
import type { Wire } from './wire/values.ts'
import { toXmlValue } from './wire/xml-value.ts'

export interface RpcRequest {
  /** `class.method`, `class_method` or `Async.class.method`. */
  readonly method: string
  /** The session first, where the method needs one. */
  readonly params: readonly Wire[]
}

export interface Dispatcher {
  /**
   * @param signal aborted when the client has left: a call that waits ends then
   * @param origin where the call comes from; default: the server itself
   * @param work of the answer: a call whose answer may be large waits for a place there
   * @throws AppError of any code; never anything else
   */
  call(request: RpcRequest, signal?: AbortSignal, origin?: Origin, work?: AnswerWork): Promise<Wire>

  /** Returns when the calls that run behind tasks have ended; for shutting down. */
  idle(): Promise<void>
}

const ASYNC = 'Async.'

export const createDispatcher = (
  context: XenApiContext,
  table: readonly Method[] = methods,
  room: AnswerRoom = createAnswerRoom(),
): Dispatcher => {
  const byName = namesOf(table)
  const background = new Set<Promise<void>>()

  const runBehindTask = async (
    { name: methodName, isLarge }: SessionMethod,
    call: Call,
    run: (call: Call) => Promise<Wire>,
  ): Promise<string> => {
    const { catalog } = context
    const name = `${ASYNC}${methodName}`
    const { user } = call.identity
    const ref = await catalog.tasks.create({ nameLabel: name, userUuid: user.uuid })
    // Its result is made like an answer, and kept as one text.
    const work = room.begin()
    work.user(user.uuid)
    const runInPlace = async (task: Call['task']): Promise<Wire> => {
      if (isLarge) await work.enter()
      return run({ ...call, task })
    }
    const running = withTask(catalog, { user, ref }, runInPlace, resultText)
      .then(
        () => {},
        (error: unknown) => void ours(error, name),
      )
      .finally(() => {
        work.release()
        background.delete(running)
      })
    background.add(running)
    return ref
  }

  const callWithSession = async (
    method: SessionMethod,
    isAsync: boolean,
    params: readonly Wire[],
    signal: AbortSignal | undefined,
    origin: Origin,
    work: AnswerWork | undefined,
  ): Promise<Wire> => {
    if (params.length === 0) requireCount(method, -1)
    const [sessionId, ...args] = params
    if (typeof sessionId !== 'string') throw new AppError('SESSION_INVALID', [])
    const identity = await context.authenticate({ sessionId }, origin)
    requireCount(method, args.length)
    const audited = (run: () => Promise<Wire>): Promise<Wire> =>
      withAudit(context, identity, method.name, args, run)
    if (!isForSession(identity, method)) {
      return audited(async () => {
        throw moveDenied(identity, method.name.toLowerCase())
      })
    }
    if (!hasRole(identity, method.role)) {
      return audited(async () => {
        throw roleDenied(identity, method.role, method.name.toLowerCase())
      })
    }
    const bound = method.bind(args)
    work?.user(identity.user.uuid)
    if (method.isLarge && !isAsync) await work?.enter()
    const run = (call: Call): Promise<Wire> => audited(() => bound(call))
    const call: Call = { context, identity, origin, task: noTask, ...(signal && { signal }) }
    if (isAsync) return runBehindTask(method, call, run)
    const { user } = identity
    // Long work makes a task that shows it to others.
    const asked = { user, ref: undefined }
    return withTask(context.catalog, asked, (task) => run({ ...call, task }), resultText)
  }

  /** Any error as an AppError; an internal error is logged. */
  const ours = (error: unknown, method: string): AppError => {
    if (!(error instanceof AppError) || error.code === 'INTERNAL_ERROR') {
      context.log.error({ error, method: method.slice(0, 128) }, 'A call failed')
    }
    return toAppError(error)
  }

  const call = async (
    { method: asked, params }: RpcRequest,
    signal: AbortSignal | undefined,
    origin: Origin,
    work: AnswerWork | undefined,
  ): Promise<Wire> => {
    const isAsync = asked.startsWith(ASYNC)
    const method = byName.get(isAsync ? asked.slice(ASYNC.length) : asked)
    if (method === undefined || (isAsync && !(method.role !== undefined && method.isAsync))) {
      throw new AppError('MESSAGE_METHOD_UNKNOWN', [asked.slice(0, 128)])
    }
    if (method.role !== undefined) {
      return callWithSession(method, isAsync, params, signal, origin, work)
    }
    requireCount(method, params.length)
    return method.bind(params)({ context, origin })
  }

  return {
    async call(request, signal, origin = ownOrigin, work) {
      try {
        return await call(request, signal, origin, work)
      } catch (error) {
        throw ours(error, request.method)
      }
    },
    async idle() {
      await Promise.all(background)
    },
  }
}

/** As a task tells it. */
const resultText = (result: Wire): string => (result === '' ? '' : toXmlValue(result))

/** By `class.method` and by `class_method`, which Orchestra uses. */
const namesOf = (table: readonly Method[]): ReadonlyMap<string, Method> => {
  const byAlias = table.map((method) => [method.name.replace('.', '_'), method] as const)
  const byName = table.map((method) => [method.name, method] as const)
  return new Map([...byAlias, ...byName])
}
