// XenAPI records as xe shows, filters and selects them, by the table of classes.

import { createStepCounter } from '../disk/step-counter.ts'
import type { ApiRecord, Ask, CliClass, CliField } from './cli-class.ts'
import { nothing, nullRef } from './cli-class.ts'
import { CliError } from './cli-error.ts'
import type { PrintedRecord } from './printer.ts'

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
export const valueOf = async (field: CliField, record: ApiRecord, ask: Ask): Promise<string> => {
  if (field.read !== undefined) return field.read(record, ask)
  const value = record[field.key]
  if (field.kind === 'value') return textOf(value)
  if (field.kind === 'ref') return uuidOf(value)
  const members =
    field.kind === 'map'
      ? entriesOf(field, record).map(([key, text]) => `${key}: ${text}`)
      : membersOf(field, record)
  return members.join(field.separator)
}

/** `uuid ( RO)`, `other-config (MRW)`, `allowed-operations (SRO)`, `parent ( RO) [DEPRECATED]` */
const labelOf = ({ name, kind, isWritable, isPlain, isDeprecated }: CliField): string => {
  const letters = { map: 'M', set: 'S', refs: 'S', value: ' ', ref: ' ', computed: ' ' }
  const letter = isPlain ? ' ' : letters[kind]
  return `${name} (${letter}${isWritable ? 'RW' : 'RO'})${isDeprecated ? ' [DEPRECATED]' : ''}`
}

const unknownField = (name: string): CliError => new CliError(`Error: Unknown field '${name}'`)

/** @throws CliError */
export const requireField = ({ fields }: CliClass, name: string): CliField => {
  const found = fields.find((field) => field.name === name)
  if (found === undefined) throw unknownField(name)
  return found
}

/**
 * The fields that `params=` names, in the order of the class; names that the class does not have
 * are passed over.
 * @param chosen `all`, names parted by commas, or nothing: those that lists show
 */
export const chooseFields = (shown: CliClass, chosen: string | undefined): CliField[] => {
  const names = chosen?.split(',').map((name) => name.trim()) ?? shown.listed
  if (chosen === 'all' || names.length === 0) return [...shown.fields]
  return shown.fields.filter((field) => names.includes(field.name))
}

export const printRecord = (
  fields: readonly CliField[],
  record: ApiRecord,
  ask: Ask,
): Promise<PrintedRecord> =>
  Promise.all(
    fields.map(async (field) => [labelOf(field), await valueOf(field, record, ask)] as const),
  )

/** A filter of the command line as a question to a record. */
export type RecordFilter = (record: ApiRecord) => Promise<boolean>

/**
 * `field=value`, `map:key=value` or `set:contains=member`; the old forms have `-` for `:`.
 * @throws CliError for a field that is not there, or not a set or map
 */
export const parseFilter = (
  shown: CliClass,
  [name, wanted]: readonly [name: string, value: string],
  ask: Ask,
): RecordFilter => {
  const { field, key } = resolveName(shown, name)
  if (key === undefined) {
    const fold = (text: string) => (field.isCaseInsensitive === true ? text.toLowerCase() : text)
    return async (record) => fold(await valueOf(field, record, ask)) === fold(wanted)
  }
  if (field.kind === 'map') {
    return async (record) => {
      const map = record[field.key] as Readonly<Record<string, unknown>>
      return Object.hasOwn(map, key) && textOf(map[key]) === wanted
    }
  }
  if (key !== 'contains') {
    const expected = 'should be set-param:contains=key'
    throw new CliError(`Error: Invalid syntax for set filtering (${expected})`)
  }
  return async (record) => membersOf(field, record).includes(wanted)
}

/**
 * Records and filters that are looked at before others have their turn; one may go through a large
 * map or set.
 */
const stepsPerPause = 128

/**
 * All filters as one: the first that does not match ends the question.
 * @param gone aborted when nobody waits for the answer any more; its reason is thrown then
 */
export const matchAll = (filters: readonly RecordFilter[], gone: AbortSignal): RecordFilter => {
  const step = createStepCounter(stepsPerPause)
  const letOthers = async (): Promise<void> => {
    await step()
    gone.throwIfAborted()
  }
  return async (record) => {
    await letOthers()
    for (const matches of filters) {
      await letOthers()
      if (!(await matches(record))) return false
    }
    return true
  }
}

interface ResolvedName {
  readonly field: CliField
  /** In a map or, for filters, `contains`. */
  readonly key?: string
}

const hasMembers = ({ kind }: CliField): boolean =>
  kind === 'map' || kind === 'set' || kind === 'refs'

/**
 * `sm-config:image-format`, or in the old form `sm-config-image-format`, as the field and the key
 * in it.
 * @throws CliError for a field that is not there, or that has a key and is neither a set nor a map
 */
export const resolveName = (shown: CliClass, name: string): ResolvedName => {
  const { fields } = shown
  const exact = fields.find((field) => field.name === name)
  if (exact !== undefined) return { field: exact }
  const colon = name.indexOf(':')
  if (colon >= 0) {
    const field = fields.find((field) => field.name === name.slice(0, colon))
    if (field === undefined) throw unknownField(name)
    if (!hasMembers(field)) throw new CliError(`Error: Field '${field.name}' is not a set or map`)
    return { field, key: name.slice(colon + 1) }
  }
  // Maps first, and the longest name first, as XenServer's xe looks.
  const [field] = fields
    .filter((field) => hasMembers(field) && name.startsWith(`${field.name}-`))
    .toSorted(
      (a, b) =>
        Number(b.kind === 'map') - Number(a.kind === 'map') || b.name.length - a.name.length,
    )
  if (field === undefined) throw unknownField(name)
  return { field, key: name.slice(field.name.length + 1) }
}
