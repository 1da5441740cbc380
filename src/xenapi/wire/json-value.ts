// A value as JSON carries it: dates are strings, and all numbers are numbers. Used by json-rpc.ts.

import { LongText } from '../../disk/long-text.ts'
import { formatDate, isWireMap, WireInt } from './values.ts'
import type { Wire } from './values.ts'

/**
 * The text of a value that may be large, in parts: each no longer than a member of a member of a
 * member.
 * @param depth of the members that stand for themselves
 */
export function* jsonParts(wire: Wire, depth = 4): Generator<string | LongText, void, undefined> {
  if (wire instanceof LongText) {
    yield '"'
    yield wire
    yield '"'
  } else if (depth > 0 && isArray(wire)) {
    let before = '['
    for (const item of wire) {
      yield before
      yield* jsonParts(item, depth - 1)
      before = ','
    }
    yield before === '[' ? '[]' : ']'
  } else if (depth > 0 && isWireMap(wire)) {
    let before = '{'
    for (const [name, value] of Object.entries(wire)) {
      yield `${before}${JSON.stringify(name)}:`
      yield* jsonParts(value, depth - 1)
      before = ','
    }
    yield before === '{' ? '{}' : '}'
  } else yield JSON.stringify(jsonOf(wire))
}

const jsonOf = (wire: Wire): unknown => {
  if (wire instanceof Date) return formatDate(wire)
  if (wire instanceof LongText) return wire.toString()
  if (wire instanceof WireInt) return wire.value
  if (typeof wire === 'bigint') return Number(wire)
  if (isArray(wire)) return wire.map(jsonOf)
  if (!isWireMap(wire)) return wire
  return Object.fromEntries(
    Object.entries(wire).map(([name, value]) => [name, jsonOf(value)] as const),
  )
}

/** Array.isArray does not tell read-only arrays apart. */
const isArray = (wire: Wire): wire is readonly Wire[] => Array.isArray(wire)
