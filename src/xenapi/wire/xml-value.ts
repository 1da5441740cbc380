// A value as XML-RPC writes it. Results of tasks are kept in this form, whatever protocol asked.

import { LongText } from '../../disk/long-text.ts'
import { formatDate, isWireMap, WireInt } from './values.ts'
import type { Wire } from './values.ts'
import { escapeXml } from './xml-text.ts'

/** `<value>…</value>`; a string stands bare in it, as XenServer writes it. */
export const toXmlValue = (wire: Wire): string => `<value>${content(wire)}</value>`

/**
 * The same in parts, for values that may be large: each no longer than a member of a member of a
 * member.
 * @param depth of the members that stand for themselves
 */
export function* xmlParts(wire: Wire, depth = 4): Generator<string | LongText, void, undefined> {
  if (wire instanceof LongText) {
    yield '<value>'
    yield wire
    yield '</value>'
  } else if (depth > 0 && isArray(wire)) {
    yield '<value><array><data>'
    for (const item of wire) yield* xmlParts(item, depth - 1)
    yield '</data></array></value>'
  } else if (depth > 0 && isWireMap(wire)) {
    yield '<value><struct>'
    for (const [name, value] of Object.entries(wire)) {
      yield `<member><name>${escapeXml(name)}</name>`
      yield* xmlParts(value, depth - 1)
      yield '</member>'
    }
    yield '</struct></value>'
  } else yield toXmlValue(wire)
}

const content = (wire: Wire): string => {
  if (wire === null) return ''
  if (wire instanceof LongText) return wire.toString()
  if (typeof wire === 'string') return escapeXml(wire)
  if (wire instanceof WireInt) return String(wire)
  if (typeof wire === 'number') return `<double>${wire}</double>`
  if (typeof wire === 'bigint') return `<i4>${wire}</i4>`
  if (typeof wire === 'boolean') return `<boolean>${wire ? 1 : 0}</boolean>`
  if (wire instanceof Date) return `<dateTime.iso8601>${formatDate(wire)}</dateTime.iso8601>`
  if (isArray(wire)) return `<array><data>${wire.map(toXmlValue).join('')}</data></array>`
  const members = Object.entries(wire).map(
    ([name, value]) => `<member><name>${escapeXml(name)}</name>${toXmlValue(value)}</member>`,
  )
  return `<struct>${members.join('')}</struct>`
}

/** Array.isArray does not tell read-only arrays apart. */
const isArray = (wire: Wire): wire is readonly Wire[] => Array.isArray(wire)
