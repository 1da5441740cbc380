// What the calls need of the rest of the server. server.ts wires it.

import type { OperationContext } from '../operations/context.ts'
import type { Authenticate } from './authenticate.ts'
import type { EventFeed } from './events/event-feed.ts'
import type { Registrations } from './events/event-registrations.ts'

/** What the objects of the API are made of. */
export interface ObjectContext extends OperationContext {
  readonly authenticate: Authenticate

  /** Of diskport: `0.1.0`. */
  readonly version: string
}

export interface XenApiContext extends ObjectContext {
  /** What has changed, for those who watch. */
  readonly events: EventFeed
  readonly registrations: Registrations
}
