// A value of XML-RPC among elements: what ova.xml, the description in an XVA, is made of.

import type { ArchivedMap, ArchivedValue } from '../machines.ts'
import type { XmlElement } from '../xml.ts'
import { childOf, childrenOf } from '../xml.ts'

/** @param value `<value>`; what is malformed is an empty text */
export const valueOf = (value: XmlElement | undefined): ArchivedValue => {
  const [typed] = value?.children ?? []
  if (typed === undefined) return value?.text ?? ''
  const { name, text } = typed
  if (name === 'struct') return structOf(typed)
  if (name === 'array') return childrenOf(childOf(typed, 'data'), 'value').map(valueOf)
  if (name === 'boolean') return text.trim() === '1'
  if (name === 'nil') return null
  if (name === 'int' || name === 'i4' || name === 'i8' || name === 'double') return text.trim()
  return text
}

const structOf = (struct: XmlElement): ArchivedMap =>
  Object.fromEntries(
    childrenOf(struct, 'member').map((member) => [
      childOf(member, 'name')?.text ?? '',
      valueOf(childOf(member, 'value')),
    ]),
  )

export const mapIn = (value: ArchivedValue | undefined): ArchivedMap =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
    ? (value as ArchivedMap)
    : {}

export const listIn = (value: ArchivedValue | undefined): readonly ArchivedValue[] =>
  Array.isArray(value) ? (value as readonly ArchivedValue[]) : []

export const textIn = (value: ArchivedValue | undefined): string =>
  typeof value === 'string' ? value : ''

/** Those of its values that are texts. */
export const textsIn = (value: ArchivedValue | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(mapIn(value)).filter((entry): entry is [string, string] => {
      const [, text] = entry
      return typeof text === 'string'
    }),
  )
