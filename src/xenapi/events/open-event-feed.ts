// The event feed of a server: begins with the objects that are there.

import type { ObjectContext } from '../object-context.ts'
import { classes } from '../classes/classes.ts'
import type { EventFeed } from './event-feed.ts'
import { createEventFeed } from './event-feed.ts'

/** Called before the server listens: what changes while this lists is not told. */
export const openEventFeed = async (context: ObjectContext): Promise<EventFeed> => {
  const existing = new Map<string, string[]>()
  for (const apiClass of classes) {
    existing.set(apiClass.name, await apiClass.uuids(context))
  }
  return createEventFeed({ changes: context.catalog.changes, existing })
}
