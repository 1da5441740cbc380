// The types of XenAPI's values: what a client may send for each, and how it is answered. Both wire
// protocols carry Wire; only json-rpc.ts and xml-value.ts know how it looks in bytes.

import { NULL_REF, toRef } from '../../refs.ts'
import { LongText } from '../../disk/long-text.ts'
import { AppError } from '../../errors.ts'
import { requireUuid } from './require-uuid.ts'
import { isXmlText } from './xml-text.ts'

/** An integer of 64 bits in an answer: a number in JSON, a string of digits in XML-RPC. */
export class WireInt {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }

  toString(): string {
    return String(this.value)
  }

  toJSON(): number {
    return this.value
  }
}

/**
 * A value on its way in or out. In answers an integer is a WireInt, so a number is a float; the few
 * integers that XML-RPC has a type for are a bigint, of 32 bits. JSON shows a Date as a string too.
 * A LongText is a string that only goes out.
 */
export type Wire =
  string | LongText | number | bigint | boolean | null | Date | WireInt | readonly Wire[] | WireMap

export interface WireMap {
  readonly [key: string]: Wire
}

export interface ValueType<T> {
  /** As XenAPI's reference writes it: `int`, `VDI ref`, `string set`. */
  readonly name: string

  /**
   * @param wire undefined for what was not sent
   * @param where the field or parameter, for the message; the value is never shown, it may be a
   *   secret
   * @throws AppError FIELD_TYPE_ERROR, INVALID_VALUE, HANDLE_INVALID for a reference
   */
  fromWire(wire: Wire | undefined, where: string): T

  toWire(value: T): Wire
}

/** In UTF-16 units; the body of a call has a limit of its own. */
const MAXIMUM_STRING_LENGTH = 65_536

const typeError = (where: string, expected: string): AppError =>
  new AppError('FIELD_TYPE_ERROR', [where], { message: `${where} must be ${expected}` })

/** @param maximum in UTF-16 units */
export const stringUpTo = (maximum: number): ValueType<string> => ({
  name: 'string',
  fromWire(wire, where) {
    if (typeof wire !== 'string') throw typeError(where, 'a string')
    if (wire.length > maximum) {
      const message = `${where} has ${wire.length} characters, the limit is ${maximum}`
      throw new AppError('INVALID_VALUE', [where, `${wire.length} characters`], { message })
    }
    if (!isXmlText(wire)) throw typeError(where, 'text without control characters')
    return wire
  },
  toWire: (value) => value,
})

export const string = stringUpTo(MAXIMUM_STRING_LENGTH)

/** 64 bits in XenAPI; here within ±(2^53 - 1). Clients send strings of digits or numbers. */
export const int: ValueType<number> = {
  name: 'int',
  fromWire(wire, where) {
    const digits = typeof wire === 'string' && /^-?\d{1,20}$/.test(wire)
    const value = digits || wire instanceof WireInt ? Number(wire) : wire
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      throw typeError(where, 'an integer within 2^53')
    }
    return value
  },
  toWire: (value) => new WireInt(value),
}

export const float: ValueType<number> = {
  name: 'float',
  fromWire(wire, where) {
    const digits = typeof wire === 'string' && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(wire)
    const value = digits ? Number(wire) : wire
    if (typeof value !== 'number' || !Number.isFinite(value)) throw typeError(where, 'a number')
    return value
  },
  toWire: (value) => value,
}

export const bool: ValueType<boolean> = {
  name: 'bool',
  fromWire(wire, where) {
    if (wire === true || wire === 'true') return true
    if (wire === false || wire === 'false') return false
    throw typeError(where, 'true or false')
  },
  toWire: (value) => value,
}

export const datetime: ValueType<Date> = {
  name: 'datetime',
  fromWire(wire, where) {
    const value = wire instanceof Date ? wire : parseDate(wire)
    if (Number.isNaN(value.getTime())) throw typeError(where, 'a time such as 20250601T12:00:00Z')
    return value
  },
  toWire: (value) => value,
}

/** `YYYYMMDDTHH:MM:SSZ`, the one form that all clients read. */
export const formatDate = (date: Date): string =>
  date.toISOString().replaceAll('-', '').replace(/\.\d+/, '')

const parseDate = (wire: Wire | undefined): Date => {
  const compact = /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,9})?Z?$/
  const [, year, month, day, time] = (typeof wire === 'string' && compact.exec(wire)) || []
  return new Date(`${year}-${month}-${day}T${time}Z`)
}

/** XenAPI writes nothing as an empty string. */
export const voidType: ValueType<void> = {
  name: 'void',
  fromWire() {},
  toWire: () => '',
}

/** The same type, whose messages name the field that the value is for, and not the parameter. */
export const forField = <T>(type: ValueType<T>, field: string): ValueType<T> => ({
  ...type,
  fromWire: (wire) => type.fromWire(wire, field),
})

/** An object: a uuid within, a reference on the wire; clients may send either. */
export const refTo = (className: string): ValueType<string> => ({
  name: `${className} ref`,
  fromWire(wire, where) {
    if (typeof wire !== 'string') throw typeError(where, `a reference to a ${className}`)
    return requireUuid(className, wire)
  },
  toWire: toRef,
})

/** An object or none. */
export const optionalRefTo = (className: string): ValueType<string | null> => ({
  name: `${className} ref`,
  fromWire(wire, where) {
    if (wire === '' || wire === NULL_REF) return null
    return refTo(className).fromWire(wire, where)
  },
  toWire: (value) => (value === null ? NULL_REF : toRef(value)),
})

export const oneOf = <T extends string>(name: string, values: readonly T[]): ValueType<T> => ({
  name,
  fromWire(wire, where) {
    const found = values.find((value) => value === wire)
    if (found !== undefined) return found
    if (typeof wire !== 'string') throw typeError(where, 'a string')
    throw new AppError('INVALID_VALUE', [where, wire.slice(0, 64)], {
      message: `${where} must be one of ${values.join(', ')}`,
    })
  },
  toWire: (value) => value,
})

export const setOf = <T>(item: ValueType<T>): ValueType<readonly T[]> => ({
  name: `${item.name} set`,
  fromWire(wire, where) {
    if (!Array.isArray(wire)) throw typeError(where, 'an array')
    return wire.map((element: Wire) => item.fromWire(element, where))
  },
  toWire: (value) => value.map((element) => item.toWire(element)),
})

export const mapOf = <T>(
  key: ValueType<string>,
  item: ValueType<T>,
): ValueType<Readonly<Record<string, T>>> => ({
  name: `(${key.name} → ${item.name}) map`,
  fromWire(wire, where) {
    if (!isWireMap(wire)) throw typeError(where, 'a map')
    const entries = Object.entries(wire).map(
      ([name, value]) => [key.fromWire(name, where), item.fromWire(value, where)] as const,
    )
    // Not by assignment: a key may be __proto__.
    return Object.fromEntries(entries)
  },
  toWire: (value) =>
    Object.fromEntries(
      Object.entries(value).map(([name, value]) => [key.toWire(name), item.toWire(value)] as const),
    ),
})

export const stringMap = mapOf(string, string)

/** What is on the wire already: records and their fields. */
export const wire = (name: string): ValueType<Wire> => ({
  name,
  fromWire: (value) => value ?? null,
  toWire: (value) => value,
})

export const isWireMap = (value: Wire | undefined): value is WireMap =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Date) &&
  !(value instanceof WireInt) &&
  !(value instanceof LongText)
