// The record that a constructor such as VDI.create takes. Clients often send a whole record that
// they read elsewhere: keys that are unknown or not theirs to set are ignored, missing ones
// default.

import { AppError } from '../../errors.ts'
import type { ValueType, Wire } from './values.ts'
import { isWireMap } from './values.ts'

interface RecordField<T> {
  readonly type: ValueType<T>
  /** Absent: the field must be there. */
  readonly fallback?: T
}

type Fields = Readonly<Record<string, RecordField<unknown>>>

type RecordOf<F extends Fields> = {
  [K in keyof F]: F[K] extends RecordField<infer T> ? T : never
}

export const required = <T>(type: ValueType<T>): RecordField<T> => ({ type })

export const withDefault = <T>(type: ValueType<T>, fallback: T): RecordField<T> => ({
  type,
  fallback,
})

/** @param className the class that is made, for messages */
export const recordOf = <F extends Fields>(
  className: string,
  fields: F,
): ValueType<RecordOf<F>> => ({
  name: `${className} record`,
  fromWire(wire, where) {
    if (!isWireMap(wire)) {
      const message = `${where} must be a ${className} record`
      throw new AppError('FIELD_TYPE_ERROR', [where], { message })
    }
    const values = Object.entries(fields).map(([name, field]) => {
      const value = Object.hasOwn(wire, name) ? wire[name] : undefined
      return [name, readField(field, value, className, name)] as const
    })
    return Object.fromEntries(values) as RecordOf<F>
  },
  toWire: (value) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, { type }]) => [name, type.toWire(value[name])] as const),
    ),
})

const readField = (
  { type, fallback }: RecordField<unknown>,
  value: Wire | undefined,
  className: string,
  name: string,
): unknown => {
  if (value !== undefined && value !== null) return type.fromWire(value, name)
  if (fallback !== undefined) return fallback
  const message = `The ${className} record needs the field ${name}`
  throw new AppError('FIELD_TYPE_ERROR', [name], { message })
}
