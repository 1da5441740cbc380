// Events: clients wait here for what changes. event.from keeps nothing on the server, its token
// says what the client has seen; event.register and event.next are the older way.

import { toRef } from '../../refs.ts'
import { AppError } from '../../errors.ts'
import type { FeedEntry } from '../events/change-log.ts'
import type { ApiClass, XenRecord } from '../class.ts'
import { classes } from '../classes/classes.ts'
import type { XenApiContext } from '../context.ts'
import type { Subscription } from '../events/event-subscription.ts'
import { createSubscription } from '../events/event-subscription.ts'
import type { Call, SessionMethod } from '../method.ts'
import { defineMethod, parameter } from '../method.ts'
import { requireUuid } from '../wire/require-uuid.ts'
import type { WireMap } from '../wire/values.ts'
import { float, setOf, stringUpTo, voidType, wire, WireInt } from '../wire/values.ts'

/** How long a call may wait at most, in seconds; clients ask again. */
const MAXIMUM_WAIT = 600

/** How long event.next waits, in seconds: it has no say. */
const NEXT_WAIT = 30

const className = stringUpTo(128)
const classNames = setOf(className)

const classesByName = new Map(classes.map((apiClass) => [apiClass.name.toLowerCase(), apiClass]))

/** @throws AppError HANDLE_INVALID */
const requireClass = (name: string, ref: string): ApiClass => {
  const apiClass = classesByName.get(name.toLowerCase())
  if (apiClass === undefined) throw new AppError('HANDLE_INVALID', [name, ref.slice(0, 64)])
  return apiClass
}

const eventOf = (
  { position, className, uuid, time }: FeedEntry,
  operation: 'add' | 'mod' | 'del',
  snapshot?: XenRecord,
): WireMap => ({
  id: new WireInt(position),
  timestamp: (time / 1000).toFixed(1),
  class: className.toLowerCase(),
  operation,
  ref: toRef(uuid),
  ...(snapshot && { snapshot }),
})

/** The events of a client that has seen all until `since`. */
const eventsAfter = async (
  context: XenApiContext,
  subscription: Subscription,
  since: number,
): Promise<WireMap[]> => {
  const entries = context.events.since(since).filter(subscription.has)
  const events = entries.map(async (entry) => {
    if (entry.isDeleted) {
      // An object that was made and deleted between two calls is not told.
      return entry.createdAt > since ? undefined : eventOf(entry, 'del')
    }
    const apiClass = classesByName.get(entry.className.toLowerCase())
    const read = async () => apiClass?.find(context, entry.uuid)
    const snapshot = await context.events.share(entry, read)
    // Gone meanwhile: another event will say so.
    if (snapshot === undefined) return undefined
    return eventOf(entry, entry.createdAt > since ? 'add' : 'mod', snapshot)
  })
  return (await Promise.all(events)).filter((event) => event !== undefined)
}

/** All that is watched, as new. */
const existingEvents = async (
  context: XenApiContext,
  subscription: Subscription,
): Promise<WireMap[]> => {
  const { position } = context.events
  const time = Date.now()
  const events: WireMap[] = []
  for (const apiClass of classes) {
    const { name } = apiClass
    if (!subscription.touches(name)) continue
    for (const record of await apiClass.list(context)) {
      const entry = {
        position,
        createdAt: 0,
        isDeleted: false,
        time,
        className: name,
        uuid: record.uuid,
      }
      if (subscription.has(entry)) events.push(eventOf(entry, 'add', record))
    }
  }
  return events
}

/** Waits for events after `since`; none when the time is over. */
const nextEvents = async (
  { context, signal, identity }: Call,
  subscription: Subscription,
  since: number,
  seconds: number,
): Promise<{ events: WireMap[]; position: number }> => {
  const feed = context.events
  const end = Date.now() + Math.min(MAXIMUM_WAIT, Math.max(0, seconds)) * 1000
  let seen = since
  for (;;) {
    const { position } = feed
    const events = await eventsAfter(context, subscription, seen)
    if (events.length > 0) return { events, position }
    const left = end - Date.now()
    // Between looking and waiting nothing may slip through.
    if (feed.position > position) {
      seen = position
      continue
    }
    const entry =
      left <= 0 ? undefined : await feed.wait(subscription, left, signal, identity.user.uuid)
    if (entry === undefined) return { events, position: feed.position }
    // Until then nothing was watched for, so it need not be remembered.
    seen = entry.position - 1
  }
}

const validRefCounts = ({ events }: XenApiContext, subscription: Subscription): WireMap =>
  Object.fromEntries(
    classes
      .filter(({ name }) => subscription.touches(name))
      .map(({ name }) => [name.toLowerCase(), BigInt(events.count(name))] as const),
  )

const from = defineMethod({
  name: 'event.from',
  role: 'read-only',
  parameters: {
    classes: parameter(classNames),
    token: parameter(stringUpTo(128)),
    timeout: parameter(float),
  },
  result: wire('event batch'),
  async run(call, { classes, token, timeout }) {
    const { context } = call
    const feed = context.events
    const subscription = createSubscription(classes)
    const since = token === '' ? feed.position : feed.fromToken(token)
    const existing = token === '' ? await existingEvents(context, subscription) : []
    const { events, position } =
      existing.length > 0
        ? { events: existing, position: since }
        : await nextEvents(call, subscription, since, timeout)
    return {
      token: feed.toToken(position),
      events,
      valid_ref_counts: validRefCounts(context, subscription),
    }
  },
})

const inject = defineMethod({
  name: 'event.inject',
  role: 'read-only',
  parameters: { class: parameter(className), ref: parameter(className) },
  result: wire('string'),
  async run({ context: { events } }, args) {
    const { name } = requireClass(args.class, args.ref)
    return events.toToken(events.touch(name, requireUuid(name, args.ref)))
  },
})

/** Registrations hang on sessions. */
const sessionOf = ({ identity }: Call): string => {
  if (identity.sessionRef === undefined) throw new AppError('SESSION_NOT_REGISTERED', [])
  return identity.sessionRef
}

const register = defineMethod({
  name: 'event.register',
  role: 'read-only',
  parameters: { classes: parameter(classNames) },
  result: voidType,
  async run(call, { classes }) {
    const { registrations, events } = call.context
    const { uuid } = call.identity.user
    registrations.register(sessionOf(call), uuid, classes, events.position)
  },
})

const unregister = defineMethod({
  name: 'event.unregister',
  role: 'read-only',
  parameters: { classes: parameter(classNames) },
  result: voidType,
  async run(call, { classes }) {
    call.context.registrations.unregister(sessionOf(call), classes)
  },
})

const next = defineMethod({
  name: 'event.next',
  role: 'read-only',
  parameters: {},
  result: wire('event set'),
  async run(call) {
    const registration = call.context.registrations.require(sessionOf(call))
    const { events, position } = await nextEvents(
      call,
      registration.subscription,
      registration.position,
      NEXT_WAIT,
    )
    registration.position = position
    return events
  },
})

const getCurrentId = defineMethod({
  name: 'event.get_current_id',
  role: 'read-only',
  parameters: {},
  result: wire('int'),
  run: async ({ context }) => new WireInt(context.events.position),
})

export const eventMethods: readonly SessionMethod[] = [
  from,
  inject,
  register,
  unregister,
  next,
  getCurrentId,
]
