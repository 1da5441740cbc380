// What the calls need of the rest of the server. server.ts wires it.

import type { EventFeed } from './events/event-feed.ts'
import type { Registrations } from './events/event-registrations.ts'
import type { ObjectContext } from './object-context.ts'

export interface XenApiContext extends ObjectContext {
  /** What has changed, for those who watch. */
  readonly events: EventFeed
  readonly registrations: Registrations
  /** How others reach this server, where its administrator says it; without a slash at the end. */
  readonly advertisedUrl?: string
}
