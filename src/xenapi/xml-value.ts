// A value as XML-RPC writes it. Results of tasks are kept in this form, whatever protocol asked.

import { formatDate, WireInt } from './values.ts'
import type { Wire } from './values.ts'
import { escapeXml } from './xml-text.ts'

/** `<value>…</value>`; a string stands bare in it, as XenServer writes it. */
export const toXmlValue = (wire: Wire): string => `<value>${content(wire)}</value>`

const content = (wire: Wire): string => {
  if (wire === null) return ''
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
