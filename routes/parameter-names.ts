// The names of the parameters that each transfer takes, and what is said of others: they are
// ignored, as XenAPI does, but one that looks like a slip is named in a `warning` header.

import { nearest } from '../src/near-names.ts'

const session = ['session_id', 'task_id'] as const

export const exportParameters = [
  'vdi',
  'for',
  'format',
  'subformat',
  'compression',
  'negotiate',
  'base',
  'delta',
  'narrow',
  ...session,
] as const

export const importParameters = [
  'vdi',
  'sr_uuid',
  'sr_id',
  'name_label',
  'format',
  'replace',
  'chunked',
  'size',
  'short',
  ...session,
] as const

export const machineExportParameters = [
  'uuid',
  'ref',
  'format',
  'negotiate',
  'use_compression',
  ...session,
] as const

export const machinesParameters = [
  'sr_uuid',
  'sr_id',
  'name_label',
  'format',
  'restore',
  'force',
  'dry_run',
  ...session,
] as const

export const extentsParameters = [
  'vdi',
  'base',
  'narrow',
  'offset',
  'length',
  'session_id',
] as const

export type ParameterName = (
  | typeof exportParameters
  | typeof importParameters
  | typeof machinesParameters
  | typeof machineExportParameters
  | typeof extentsParameters
)[number]

/** Whose absence and emptiness are the same: clients send them empty when they have none. */
export const mayBeEmpty: ReadonlySet<ParameterName> = new Set([
  'session_id',
  'task_id',
  'name_label',
])

/** The number of unknown names of one request that are checked. */
const maximumNames = 16

/**
 * For the answer: names of the query that are unknown, but near a known one.
 * @returns none, or one header (RFC 7234, section 5.5: 299 is a warning of the application that
 *   stays)
 */
export const warningOf = (
  { url = '' }: { readonly url?: string | undefined },
  known: readonly string[],
): { readonly warning?: string } => {
  const query = new URLSearchParams(/\?([^#]*)/.exec(url)?.[1])
  const unknown = [...new Set(query.keys())].filter((name) => !known.includes(name))
  const slips = unknown.slice(0, maximumNames).flatMap((name) => {
    const meant = /^[\w-]+$/.test(name) ? nearest(name, known) : undefined
    return meant === undefined ? [] : [`unknown parameter ${name} is ignored, is ${meant} meant?`]
  })
  return slips.length === 0 ? {} : { warning: `299 diskport "${slips.join('; ')}"` }
}
