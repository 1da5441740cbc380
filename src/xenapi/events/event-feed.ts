// The changes of the last while, in order, for those who watch. Each object is held once, with its
// latest change, so that a thousand steps of progress are one event to a client that comes late.
// Knows neither calls nor records: methods/event.ts asks it.

import type { Change, Changes } from '../../catalog/changes.ts'
import { handleInvalid } from '../../object-errors.ts'
import { AppError } from '../../errors.ts'
import type { FeedEntry } from './change-log.ts'
import { createChangeLog, eventsLost } from './change-log.ts'
import type { XenRecord } from '../class.ts'
import type { Subscription } from './event-subscription.ts'

export interface EventFeed {
  /** Of the last change. */
  readonly position: number

  /** A token sorts as its position, across restarts too. */
  toToken(position: number): string

  /**
   * @throws AppError EVENT_FROM_TOKEN_PARSE_FAILURE; EVENTS_LOST for a token from before a restart
   */
  fromToken(token: string): number

  /**
   * The objects that have changed after `position`, in the order of their last changes.
   * @throws AppError EVENTS_LOST where that is longer ago than the feed remembers
   */
  since(position: number): FeedEntry[]

  /**
   * Waits for the next change that is watched for; undefined when none has come in time or the
   * client has left.
   * @param userUuid whose client waits
   * @throws AppError HOST_IS_SHUTTING_DOWN; TOO_BUSY where as many wait as may, of the user or in
   *   all
   */
  wait(
    subscription: Subscription,
    milliseconds: number,
    signal?: AbortSignal,
    userUuid?: string,
  ): Promise<FeedEntry | undefined>

  /**
   * Lets an object count as changed; the position.
   * @throws AppError HANDLE_INVALID
   */
  touch(className: string, uuid: string): number

  /** The number of objects of the class. */
  count(className: string): number

  /** What `read` gives, asked once for all who want the same object between two changes. */
  share(
    entry: FeedEntry,
    read: () => Promise<XenRecord | undefined>,
  ): Promise<XenRecord | undefined>

  /** Ends all waiting. */
  close(): void
}

interface FeedOptions {
  readonly changes: Changes
  /** Whose uuids are there already, by class. */
  readonly existing: ReadonlyMap<string, Iterable<string>>
  readonly now?: () => number
  /** The least number of changes that are remembered. */
  readonly history?: number
}

/** Calls that wait at a time: each costs a look at every change. */
const MAXIMUM_WAITING = 4000
const MAXIMUM_WAITING_OF_USER = 1000

interface Waiter {
  readonly subscription: Subscription
  wake(entry: FeedEntry): void
  end(error: AppError): void
}

export const createEventFeed = ({
  changes,
  existing,
  now = Date.now,
  history = 4096,
}: FeedOptions): EventFeed => {
  const epoch = now()
  const living = new Map(Array.from(existing, ([name, uuids]) => [name, new Set(uuids)] as const))
  const log = createChangeLog(history)
  const waiters = new Set<Waiter>()
  /** By user. */
  const waiting = new Map<string, number>()
  let shared = new Map<FeedEntry, Promise<XenRecord | undefined>>()
  let isClosed = false

  /** The number of waiting calls of the user, after a change by this many. */
  const countOf = (userUuid: string, more = 0): number => {
    const count = (waiting.get(userUuid) ?? 0) + more
    if (count === 0) waiting.delete(userUuid)
    else waiting.set(userUuid, count)
    return count
  }
  const requireFewWaiting = (userUuid: string): void => {
    const own = countOf(userUuid)
    if (own < MAXIMUM_WAITING_OF_USER && waiters.size < MAXIMUM_WAITING) return
    const found = `${own} of the user, ${waiters.size} in all`
    const limits = `the limits are ${MAXIMUM_WAITING_OF_USER} and ${MAXIMUM_WAITING}`
    throw new AppError('TOO_BUSY', [], {
      message: `Too many calls wait for events: ${found}; ${limits}`,
    })
  }

  const record = (className: string, uuid: string, operation: Change['operation']): FeedEntry => {
    const change = { className, uuid, isDeleted: operation === 'del', time: now() }
    const entry = log.add(change, operation === 'add')
    shared = new Map()
    for (const waiter of waiters) if (waiter.subscription.has(entry)) waiter.wake(entry)
    return entry
  }
  const unsubscribe = changes.subscribe(({ className, uuid, operation }) => {
    const uuids = living.get(className) ?? new Set()
    living.set(className, uuids)
    // Changes of unknown or deleted objects are not told.
    if (operation !== 'add' && !uuids.has(uuid)) return
    if (operation === 'del') uuids.delete(uuid)
    else uuids.add(uuid)
    record(className, uuid, operation)
  })

  return {
    get position() {
      return log.position
    },
    toToken: (position) =>
      [epoch, position].map((part) => String(part).padStart(20, '0')).join(','),
    fromToken(token) {
      const [, madeIn, position] = /^(\d{1,20}),(\d{1,20})$/.exec(token) ?? []
      if (position === undefined) {
        throw new AppError('EVENT_FROM_TOKEN_PARSE_FAILURE', [token.slice(0, 64)])
      }
      if (Number(madeIn) !== epoch || Number(position) > log.position) throw eventsLost()
      return Number(position)
    },
    since: (position) => log.since(position),
    wait: (subscription, milliseconds, signal, userUuid = '') =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(new AppError('HOST_IS_SHUTTING_DOWN', []))
        if (signal?.aborted === true) return resolve(undefined)
        requireFewWaiting(userUuid)
        const leave = (): void => {
          waiters.delete(waiter)
          countOf(userUuid, -1)
          clearTimeout(timer)
          signal?.removeEventListener('abort', giveUp)
        }
        const giveUp = (): void => {
          leave()
          resolve(undefined)
        }
        const waiter: Waiter = {
          subscription,
          wake(entry) {
            leave()
            resolve(entry)
          },
          end(error) {
            leave()
            reject(error)
          },
        }
        const timer = setTimeout(giveUp, milliseconds)
        signal?.addEventListener('abort', giveUp)
        waiters.add(waiter)
        countOf(userUuid, 1)
      }),
    touch(className, uuid) {
      if (living.get(className)?.has(uuid) !== true) {
        throw handleInvalid(className, uuid)
      }
      return record(className, uuid, 'mod').position
    },
    count: (className) => living.get(className)?.size ?? 0,
    share(entry, read) {
      const known = shared.get(entry)
      if (known !== undefined) return known
      const reading = read()
      shared.set(entry, reading)
      return reading
    },
    close() {
      isClosed = true
      unsubscribe()
      for (const waiter of waiters) waiter.end(new AppError('HOST_IS_SHUTTING_DOWN', []))
    },
  }
}
