// What every use case is given. Made once, by server.ts; xenapi and the routes pass it on.

import pLimit from 'p-limit'
import type { Leases } from '../transfer/leases.ts'
import type { TransferContext } from '../transfer/context.ts'

export interface OperationContext extends TransferContext {
  /** Which VMs are on their way elsewhere. */
  readonly vmLeases: Leases

  /** PEM text of the authorities that other servers' certificates must come from. */
  readonly migrateAuthorities?: string

  /** Of this server, as bootstrap told it. */
  readonly hostUuid: string

  /** Absolute. */
  readonly dataFolder: string

  /** The folders that users may name who may not name any: see AskedPlace. */
  readonly srRoots: readonly string[]

  /**
   * Runs what makes, attaches, detaches or forgets a storage repository, one at a time: two that
   * are made at once on one folder would each find it free.
   */
  readonly oneSrAtATime: <T>(work: () => Promise<T>) => Promise<T>
}

export const createOperationContext = (
  parts: Omit<OperationContext, 'oneSrAtATime'>,
): OperationContext => {
  const limit = pLimit(1)
  return { ...parts, oneSrAtATime: (work) => limit(work) }
}
