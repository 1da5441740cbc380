// The catalog: everything diskport knows that is not in an image. The only SQL is in this folder,
// one file for each kind of object; start with layers.ts, which keeps the promise of imports.

import type { TransferTasks } from './tasks/brief-tasks.ts'
import { decideTasksFirst, withBriefTasks } from './tasks/brief-tasks.ts'
import type { Changes } from './changes.ts'
import type { Coalescing } from './layers/coalescing.ts'
import { createCoalescing } from './layers/coalescing.ts'
import type { Database, TablesMode } from './database.ts'
import { openDatabase } from './database.ts'
import type { Forget } from './forget.ts'
import { createForget } from './forget.ts'
import type { Hosts } from './hosts.ts'
import { createHosts } from './hosts.ts'
import type { KeptMaps } from './layers/kept-maps.ts'
import { createKeptMaps } from './layers/kept-maps.ts'
import type { Layers } from './layers/layers.ts'
import { createLayers } from './layers/layers.ts'
import type { PasswordCost } from './users/password-hash.ts'
import { createPasswordHasher } from './users/password-hash.ts'
import type { Pools } from './pools.ts'
import { createPools } from './pools.ts'
import type { ScannedFiles } from './layers/scanned-files.ts'
import { createScannedFiles } from './layers/scanned-files.ts'
import type { Sessions } from './users/sessions.ts'
import { createSessions } from './users/sessions.ts'
import type { Sms } from './sms.ts'
import { createSms } from './sms.ts'
import type { Srs } from './srs.ts'
import { createSrs } from './srs.ts'
import { createTasks } from './tasks/tasks.ts'
import { createTaskOutcomes } from './tasks/task-outcome.ts'
import { createUnwrittenTasks } from './tasks/unwritten-tasks.ts'
import type { Users } from './users/users.ts'
import { createUsers } from './users/users.ts'
import type { Utilisation } from './layers/utilisation.ts'
import { createUtilisation } from './layers/utilisation.ts'
import type { IncomingMoves } from './moves/incoming-moves.ts'
import { createIncomingMoves } from './moves/incoming-moves.ts'
import type { OutgoingMoves } from './moves/outgoing-moves.ts'
import { createOutgoingMoves } from './moves/outgoing-moves.ts'
import type { Vdis } from './vdis.ts'
import { createVdis } from './vdis.ts'
import type { Networks } from './vms/networks.ts'
import { createNetworks } from './vms/networks.ts'
import type { Vbds } from './vms/vbds.ts'
import { createVbds } from './vms/vbds.ts'
import type { Vifs } from './vms/vifs.ts'
import { createVifs } from './vms/vifs.ts'
import type { Vms } from './vms/vms.ts'
import { createVms } from './vms/vms.ts'

export interface Catalog {
  readonly pools: Pools
  readonly hosts: Hosts
  readonly sms: Sms
  readonly srs: Srs
  readonly vdis: Vdis
  readonly vms: Vms
  readonly vbds: Vbds
  readonly vifs: Vifs
  readonly networks: Networks
  readonly incomingMoves: IncomingMoves
  readonly outgoingMoves: OutgoingMoves
  readonly layers: Layers
  readonly coalescing: Coalescing
  readonly keptMaps: KeptMaps
  readonly scannedFiles: ScannedFiles
  readonly forget: Forget
  readonly users: Users
  readonly sessions: Sessions
  readonly tasks: TransferTasks
  readonly utilisation: Utilisation

  /** Of all objects but sessions and layers. */
  readonly changes: Changes

  /**
   * Why nothing can be recorded, for people; undefined: it can. Meanwhile reading goes on, and
   * sessions and tasks are in memory.
   */
  whyUnwritable(): Promise<string | undefined>

  /** Writes what waits in memory and closes the database. Idempotent. */
  close(): Promise<void>
}

/** Of the database, in the data folder. */
export const catalogFile = 'catalog.db'

export interface CatalogOptions {
  /** The clock. */
  readonly now?: () => Date
  /** Of new password hashes. */
  readonly passwordCost?: PasswordCost
  /** Default: `migrate`. */
  readonly tables?: TablesMode
}

/**
 * Opens the catalog; unless told otherwise, makes it where it is missing and brings it to this
 * version's tables.
 * @param path of the database file, or `:memory:`
 * @throws AppError INTERNAL_ERROR naming the path: not a database, unreadable, or of another
 *   version
 */
export const createCatalog = async (
  path: string,
  { now = () => new Date(), passwordCost, tables }: CatalogOptions = {},
): Promise<Catalog> => {
  const database: Database = await openDatabase(path, tables)
  const unwritten = createUnwrittenTasks()
  const outcomes = createTaskOutcomes(now, unwritten)
  const { tasks, close } = createTasks(database, { now, unwritten })
  const brief = withBriefTasks(tasks, now)
  const vdis = createVdis(database, now, outcomes)
  const layers = createLayers(database, now, outcomes)
  const closeAll = async (): Promise<void> => {
    brief.close()
    await close()
    await database.close()
  }
  let closing: Promise<void> | undefined
  return {
    pools: createPools(database, now),
    hosts: createHosts(database, now),
    sms: createSms(database, now),
    srs: createSrs(database, now),
    ...decideTasksFirst(brief.tasks, {
      vdis,
      layers,
      vms: createVms(database, now, outcomes),
      outgoingMoves: createOutgoingMoves(database, now, outcomes),
    }),
    incomingMoves: createIncomingMoves(database, now),
    vbds: createVbds(database, now, outcomes),
    vifs: createVifs(database, now, outcomes),
    networks: createNetworks(database, now),
    coalescing: createCoalescing(database, outcomes),
    keptMaps: createKeptMaps(database),
    scannedFiles: createScannedFiles(database, now),
    forget: createForget(database),
    users: createUsers(database, now, createPasswordHasher(passwordCost)),
    sessions: createSessions(database, now),
    tasks: brief.tasks,
    utilisation: createUtilisation(database),
    changes: database.changes,
    whyUnwritable: () => database.whyUnwritable(),
    close: () => (closing ??= closeAll()),
  }
}
