// What the calls need of the rest of the server. server.ts wires it.

import type { Catalog } from '../catalog/catalog.ts'
import type { TransferContext } from '../transfer/context.ts'
import type { StorageRepositories } from '../operations/storage-repositories.ts'
import type { Authenticate } from './authenticate.ts'
import type { EventFeed } from './events/event-feed.ts'
import type { Registrations } from './events/event-registrations.ts'

/** What the objects of the API are made of. */
export interface ObjectContext {
  readonly catalog: Catalog
  readonly authenticate: Authenticate

  /** Of this server, as bootstrap told it. */
  readonly hostUuid: string

  /** For calls that make, copy and move content. */
  readonly transfer: TransferContext

  readonly storage: {
    /** What lies in the storage repository now. */
    usage(srUuid: string): Promise<SrUsage>

    /** What writes into the VDI: the reference of its task, or words; undefined: nothing. */
    busy(vdiUuid: string): string | undefined

    /** Asks for the layers that nothing needs to be deleted, some time soon. */
    collect(srUuid: string): void
  }

  readonly repositories: StorageRepositories

  readonly transfers: {
    /** Tells the task's transfer to stop; false: none is running, or it cannot be stopped. */
    cancel(taskRef: string): boolean
  }

  /** Of diskport: `0.1.0`. */
  readonly version: string

  /** Takes what is a mistake of ours and not of the caller, and the audit. A pino logger fits. */
  readonly log: {
    error(fields: object, message: string): void
    info(fields: object, message: string): void
  }
}

export interface XenApiContext extends ObjectContext {
  /** What has changed, for those who watch. */
  readonly events: EventFeed
  readonly registrations: Registrations
}

/** All in bytes. */
export interface SrUsage {
  readonly physicalSize: number
  /** Of our layers; what others keep on the same device is not ours to tell. */
  readonly physicalUtilisation: number
  /** Sum of the virtual sizes of the VDIs, snapshots included. */
  readonly virtualAllocation: number
}
