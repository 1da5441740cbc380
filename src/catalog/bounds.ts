// How much the catalog keeps for its users: the one table of bounds, and the check of what they
// write. The catalog is read whole by many calls, so what one user may put there is bounded by
// field and by number.

import { AppError } from '../errors.ts'
import { KiB, MiB } from '../units.ts'

interface Bound {
  /**
   * Of a text, of all members of a set, or of all keys and values of a map together, in UTF-16
   * units.
   */
  readonly characters: number
  /** Members of a set, entries of a map. */
  readonly entries?: number
}

type Bounds = Readonly<Record<string, Bound>>

const map = { characters: 64 * KiB, entries: 1024 }

/** What clients write of all objects but tasks, by column. */
export const objectBounds = {
  nameLabel: { characters: KiB },
  nameDescription: { characters: 16 * KiB },
  contentType: { characters: 256 },
  otherConfig: map,
  smConfig: map,
  deviceConfig: map,
  xenstoreData: map,
  tags: map,
  /** Of a VM; maps inside count as texts. */
  settings: map,
  qosAlgorithmType: { characters: 256 },
  qosAlgorithmParams: map,
  ipv4Allowed: map,
  ipv6Allowed: map,
} as const satisfies Bounds

/** The same of a task: every user may make tasks, and every client reads all of them. */
export const taskBounds = {
  nameLabel: { characters: KiB },
  nameDescription: { characters: KiB },
  otherConfig: { characters: 4 * KiB, entries: 64 },
  result: { characters: 4 * KiB },
  errorInfo: { characters: 4 * KiB, entries: 16 },
} as const satisfies Bounds

/** Tasks. Those of a user that are finished give way to newer ones; pending ones are refused. */
export const taskLimits = {
  pendingOfUser: 1000,
  /** Of all users. Whoever has fewer than `pendingSpared` of them may make one all the same. */
  pending: 4000,
  pendingSpared: 100,
  finishedOfUser: 1000,
  finished: 4000,
  /**
   * Of one result that the server writes, such as the changed blocks of a disk of 2 TiB, in UTF-16
   * units.
   */
  resultCharacters: 8 * MiB,
  /** Of the results of a user's finished tasks together. */
  resultCharactersOfUser: 16 * MiB,
} as const

/** VMs that may be on their way here at once. */
export const incomingMoveLimit = 100

/** What one of them may bring: VMs with their snapshots, and VDIs. */
export const movedVmLimit = 1000
export const movedVdiLimit = 10_000

/** Sessions. The one that was not used for the longest time gives way to a new one. */
export const sessionLimits = { ofUser: 500, all: 4000 } as const

type Value = string | readonly string[] | Readonly<Record<string, unknown>>

/**
 * @param changes fields by column; those without a bound are passed over
 * @param stored the row as it is: what is over a bound already may stay so large, and shrink
 * @throws AppError INVALID_VALUE [field, what was found]
 */
export const requireWithin = (bounds: Bounds, changes: object, stored: object = {}): void => {
  const before = new Map<string, unknown>(Object.entries(stored))
  for (const [column, value] of Object.entries(changes)) {
    const bound = bounds[column]
    if (bound === undefined || !isValue(value)) continue
    const old = before.get(column)
    const [size, oldSize] = [sizeOf(value), sizeOf(isValue(old) ? old : '')]
    requireNoMore(column, size.characters, oldSize.characters, bound.characters, 'characters')
    requireNoMore(column, size.entries, oldSize.entries, bound.entries ?? Infinity, 'entries')
  }
}

const requireNoMore = (
  column: string,
  count: number,
  before: number,
  limit: number,
  unit: string,
): void => {
  if (count <= limit || count <= before) return
  const field = column.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const found = `${count} ${unit}, the limit is ${limit}`
  throw new AppError('INVALID_VALUE', [field, found], { message: `${field} has ${found}` })
}

const isValue = (value: unknown): value is Value =>
  typeof value === 'string' ||
  (typeof value === 'object' && value !== null && !(value instanceof Date))

const sizeOf = (value: Value): { readonly characters: number; readonly entries: number } => {
  if (typeof value === 'string') return { characters: value.length, entries: 1 }
  const texts = Object.values(value).map(textOf)
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  const characters = [...keys, ...texts].reduce((sum, text) => sum + text.length, 0)
  return { characters, entries: texts.length }
}

const textOf = (member: unknown): string =>
  typeof member === 'string' ? member : JSON.stringify(member)
