// What every transfer is given: the catalog, the storage, and who else is transferring.

import type { Catalog } from '../catalog/catalog.ts'
import type { Logger } from '../log.ts'
import type { Storage } from '../store/storage.ts'
import type { Leases } from './leases.ts'
import type { Transfers } from './transfers.ts'

export interface TransferContext {
  readonly catalog: Catalog
  readonly storage: Storage
  readonly transfers: Transfers
  readonly leases: Leases
  readonly log: Logger
  /** What may wait of one upload in a spool, in bytes. Absent: what the storage can spare. */
  readonly spoolLimit?: number | undefined
}
