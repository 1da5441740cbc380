// What a call of XenAPI is here: a name, parameters with their types, who may make it, and what it
// does. The dispatcher checks; `run` gets what has been checked.

import type { Role } from '../catalog/schema.ts'
import { AppError } from '../errors.ts'
import type { Identity } from './authenticate.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import type { XenApiContext } from './context.ts'
import type { Origin } from './origin.ts'
import type { ValueType, Wire } from './wire/values.ts'

interface Parameter<T> {
  readonly type: ValueType<T>
  /** Given: the parameter may be left out. Only the last ones may. */
  readonly fallback?: T
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>

type Arguments<P extends Parameters> = {
  readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T : never
}

/** What a call with a session is made with. */
export interface Call {
  readonly context: XenApiContext
  readonly identity: Identity
  readonly origin: Origin
  /** The task of an `Async.` call; otherwise one that does nothing. */
  readonly task: TaskHandle
  /** Aborted when the client has left, where that can be known. */
  readonly signal?: AbortSignal
}

interface Signature {
  /** `VDI.create` */
  readonly name: string
  /** In their order, without the session, which no count includes. */
  readonly parameters: readonly { readonly name: string; readonly type: ValueType<unknown> }[]
  /** The number of mandatory parameters. */
  readonly mandatory: number
}

/** What a call without a session is made with. */
type OpenCall = Pick<Call, 'context' | 'origin'>

/** A call that needs a session, its types hidden. */
export interface SessionMethod extends Signature {
  /** The lowest that may make it. */
  readonly role: Role
  /** Whether `Async.` may stand before the name. */
  readonly isAsync: boolean
  /** Whether the session of a move may make it, and no other may. */
  readonly isForMoves: boolean
  /** Whether its answer may grow with what there is: then only a few such calls run at once. */
  readonly isLarge: boolean

  /**
   * Reads the arguments, whose number has been checked.
   * @returns what makes the call
   * @throws AppError FIELD_TYPE_ERROR and the others of values.ts
   */
  bind(wires: readonly Wire[]): (call: Call) => Promise<Wire>
}

/** A call that needs none, such as the login. */
interface OpenMethod extends Signature {
  readonly role: undefined
  bind(wires: readonly Wire[]): (call: OpenCall) => Promise<Wire>
}

export type Method = SessionMethod | OpenMethod

interface Definition<Subject, P extends Parameters, R> {
  readonly name: string
  readonly parameters: P
  readonly result: ValueType<R>
  readonly run: (subject: Subject, args: Arguments<P>) => Promise<R>
}

export const parameter = <T>(type: ValueType<T>): Parameter<T> => ({ type })

export const optional = <T>(type: ValueType<T>, fallback: T): Parameter<T> => ({ type, fallback })

export const defineMethod = <P extends Parameters, R>(
  definition: Definition<Call, P, R> & {
    readonly role: Role
    readonly isAsync?: boolean
    readonly isForMoves?: boolean
    readonly isLarge?: boolean
  },
): SessionMethod => ({
  ...signatureOf(definition),
  role: definition.role,
  isAsync: definition.isAsync ?? false,
  isForMoves: definition.isForMoves ?? false,
  isLarge: definition.isLarge ?? false,
  bind: binder(definition),
})

export const defineOpenMethod = <P extends Parameters, R>(
  definition: Definition<OpenCall, P, R>,
): OpenMethod => ({
  ...signatureOf(definition),
  role: undefined,
  bind: binder(definition),
})

const signatureOf = ({
  name,
  parameters,
}: {
  name: string
  parameters: Parameters
}): Signature => ({
  name,
  parameters: Object.entries(parameters).map(([name, { type }]) => ({ name, type })),
  mandatory: Object.values(parameters).filter(({ fallback }) => fallback === undefined).length,
})

const binder =
  <Subject, P extends Parameters, R>({ parameters, result, run }: Definition<Subject, P, R>) =>
  (wires: readonly Wire[]) => {
    const args = readArguments(parameters, wires)
    return async (subject: Subject): Promise<Wire> => result.toWire(await run(subject, args))
  }

const readArguments = <P extends Parameters>(
  parameters: P,
  wires: readonly Wire[],
): Arguments<P> => {
  const args = Object.entries(parameters).map(([name, { type, fallback }], index) => {
    const value = index < wires.length ? type.fromWire(wires[index], name) : fallback
    return [name, value] as const
  })
  return Object.fromEntries(args) as Arguments<P>
}

/**
 * @param received -1: not even the session
 * @throws AppError MESSAGE_PARAMETER_COUNT_MISMATCH [method, expected, received]
 */
export const requireCount = (
  { name, mandatory, parameters, role }: Method,
  received: number,
): void => {
  if (received >= mandatory && received <= parameters.length) return
  const names = parameters.map((parameter) => parameter.name).join(', ')
  const takes = role === undefined ? `(${names})` : `the session and then (${names})`
  const given = received < 0 ? 'nothing was given' : `${received} came`
  throw new AppError(
    'MESSAGE_PARAMETER_COUNT_MISMATCH',
    [name, String(mandatory), String(received)],
    { message: `${name} takes ${takes}, ${given}${role && received >= 0 ? ' after it' : ''}` },
  )
}
