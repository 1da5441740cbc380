// The event feed of a server: begins with the objects that are there.

import type { ObjectContext } from './context.ts'
import { classes } from './classes/classes.ts'
import type { EventFeed } from './event-feed.ts'
import { createEventFeed } from './event-feed.ts'

/** Called before the server listens: what changes while this lists is not told. */
export const openEventFeed = async (context: ObjectContext): Promise<EventFeed> => {
  const existing = new Map<string, string[]>()
  for (const apiClass of classes) {
    const records = await apiClass.list(context)
    existing.set(
      apiClass.name,
      records.map((record) => record.uuid),
    )
  }
  return createEventFeed({ changes: context.catalog.changes, existing })
}
