// The last changes in order, of bounded length. event-feed.ts writes and reads it.

import { AppError } from '../../errors.ts'

/** The latest change of one object. */
export interface FeedEntry {
  /** Of this change, counted from 1. */
  readonly position: number
  /** Of the change that made the object; 0: it is older than the feed can tell. */
  readonly createdAt: number
  readonly className: string
  readonly uuid: string
  readonly isDeleted: boolean
  /** When, in milliseconds since 1970. */
  readonly time: number
}

export const eventsLost = (): AppError => new AppError('EVENTS_LOST', [])

interface ChangeLog {
  /** Of the last change. */
  readonly position: number
  add(change: Omit<FeedEntry, 'position' | 'createdAt'>, isNew: boolean): FeedEntry
  /** @throws AppError EVENTS_LOST */
  since(after: number): FeedEntry[]
}

/**
 * Entries that a later one of the same object has replaced are dropped in passing.
 * @param history how many are kept at least, and half of the most that are
 */
export const createChangeLog = (history: number): ChangeLog => {
  const latest = new Map<string, FeedEntry>()
  let entries: FeedEntry[] = []
  let position = 0
  /** Of the last entry that was forgotten although nothing had replaced it. */
  let floor = 0

  const keyOf = ({ className, uuid }: Pick<FeedEntry, 'className' | 'uuid'>): string =>
    `${className}/${uuid}`
  const isLatest = (entry: FeedEntry): boolean => latest.get(keyOf(entry)) === entry

  const compact = (): void => {
    const kept = entries.filter(isLatest)
    const forgotten = kept.splice(0, Math.max(0, kept.length - history))
    for (const entry of forgotten) latest.delete(keyOf(entry))
    floor = forgotten.at(-1)?.position ?? floor
    entries = kept
  }
  const firstAfter = (after: number): number => {
    let low = 0
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries[middle]!.position > after) high = middle
      else low = middle + 1
    }
    return low
  }
  return {
    get position() {
      return position
    },
    add(change: Omit<FeedEntry, 'position' | 'createdAt'>, isNew: boolean): FeedEntry {
      position += 1
      const createdAt = isNew ? position : (latest.get(keyOf(change))?.createdAt ?? 0)
      const entry = { ...change, position, createdAt }
      latest.set(keyOf(entry), entry)
      entries.push(entry)
      if (entries.length >= 2 * history) compact()
      return entry
    },
    since(after: number): FeedEntry[] {
      if (after < floor) throw eventsLost()
      return entries.slice(firstAfter(after)).filter(isLatest)
    },
  }
}
