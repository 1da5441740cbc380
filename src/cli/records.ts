// XenAPI records as xe shows, filters and selects them, by the table of classes.

import { CliError } from './cli-error.ts'
import type { CliClass, CliField } from './classes.ts'
import type { PrintedRecord } from './printer.ts'

export type ApiRecord = Readonly<Record<string, unknown>>

/** The name-label of an object that a record refers to. */
export type NameLookup = (className: string, ref: string) => Promise<string>

const nullRef = 'OpaqueRef:NULL'
const nothing = '<not in database>'

const uuidOf = (ref: unknown): string =>
  ref === nullRef ? nothing : String(ref).replace(/^OpaqueRef:/, '')

const textOf = (value: unknown): string => {
  if (value instanceof Date) {
    return value.toISOString().replaceAll('-', '').replace(/\.\d+/, '')
  }
  return String(value)
}

/** The members of a set field, or the values of a map that is shown as one, as text. */
export const membersOf = (field: CliField, record: ApiRecord): string[] => {
  const members = Object.values(record[field.key] as object) as unknown[]
  return members.map(field.kind === 'refs' ? uuidOf : textOf)
}

/** The entries of a map field, as text. */
export const entriesOf = (field: CliField, record: ApiRecord): [key: string, value: string][] =>
  Object.entries(record[field.key] as object).map(([key, value]) => [key, textOf(value)])

/** A field as one line. */
export const valueOf = async (
  field: CliField,
  record: ApiRecord,
  nameOf: NameLookup,
): Promise<string> => {
  const value = record[field.key]
  if (field.kind === 'value') return textOf(value)
  if (field.kind === 'ref') return uuidOf(value)
  if (field.kind === 'name') {
    return value === nullRef ? nothing : nameOf(field.className ?? '', String(value))
  }
  const members =
    field.kind === 'map'
      ? entriesOf(field, record).map(([key, text]) => `${key}: ${text}`)
      : membersOf(field, record)
  return members.join(field.separator)
}

/** `uuid ( RO)`, `other-config (MRW)`, `allowed-operations (SRO)` */
const labelOf = ({ name, kind, isWritable }: CliField): string => {
  const letter = kind === 'map' ? 'M' : kind === 'set' || kind === 'refs' ? 'S' : ' '
  return `${name} (${letter}${isWritable ? 'RW' : 'RO'})`
}

/** @throws CliError */
export const requireField = ({ fields }: CliClass, name: string): CliField => {
  const found = fields.find((field) => field.name === name)
  if (found === undefined) throw new CliError(`Error: Unknown field '${name}'`)
  return found
}

/**
 * The fields that `params=` names, in the order of the class.
 * @param chosen `all`, names parted by commas, or nothing: those that lists show
 * @throws CliError for a field that the class does not have
 */
export const chooseFields = (shown: CliClass, chosen: string | undefined): CliField[] => {
  if (chosen === 'all') return [...shown.fields]
  const names = chosen?.split(',').map((name) => name.trim()) ?? shown.listed
  const wanted = new Set(names.map((name) => requireField(shown, name)))
  return shown.fields.filter((field) => wanted.has(field))
}

export const printRecord = (
  fields: readonly CliField[],
  record: ApiRecord,
  nameOf: NameLookup,
): Promise<PrintedRecord> =>
  Promise.all(
    fields.map(async (field) => [labelOf(field), await valueOf(field, record, nameOf)] as const),
  )

/** A filter of the command line as a question to a record. */
export type RecordFilter = (record: ApiRecord) => Promise<boolean>

/**
 * `field=value`, `map:key=value` or `set:contains=member`.
 * @throws CliError for a field that is not there, or not a set or map
 */
export const parseFilter = (
  shown: CliClass,
  [name, wanted]: readonly [name: string, value: string],
  nameOf: NameLookup,
): RecordFilter => {
  const [fieldName, key] = splitKey(name)
  const field = requireField(shown, fieldName)
  if (key === undefined) return async (record) => (await valueOf(field, record, nameOf)) === wanted
  if (field.kind === 'map') {
    return async (record) =>
      entriesOf(field, record).some(([found, value]) => found === key && value === wanted)
  }
  if (field.kind !== 'set' && field.kind !== 'refs') {
    throw new CliError(`Error: Field '${fieldName}' is not a set or map`)
  }
  if (key !== 'contains') {
    const expected = 'should be set-param:contains=key'
    throw new CliError(`Error: Invalid syntax for set filtering (${expected})`)
  }
  return async (record) => membersOf(field, record).includes(wanted)
}

/** `sm-config:image-format` → the name of the field and of the key in it. */
export const splitKey = (name: string): [field: string, key?: string] => {
  const colon = name.indexOf(':')
  return colon < 0 ? [name] : [name.slice(0, colon), name.slice(colon + 1)]
}
