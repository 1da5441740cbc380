// The tables of VMs that are on their way between two servers; see schema.ts.

import type { StringMap } from '../column-types.ts'
import type { VbdTable, VifTable, VmTable } from '../vms/vm-tables.ts'

/** A VDI as its source has sent it. */
export interface SentVdi {
  readonly uuid: string
  /** What names its content at the destination; empty where it has none. */
  readonly content: string
}

/** A VM on its way to another server, which decides when it has arrived there. */
export interface OutgoingMoveTable {
  uuid: string
  vmUuid: string
  /** `committing`: the destination may have committed. */
  state: 'copying' | 'committing'
  /** The VM stays here, too. */
  copies: boolean
  /** That ends with it. */
  taskUuid: string | null
  /** Those that go once the destination has committed. */
  vdiUuids: readonly string[]
  /** What must be there when the destination commits; empty before. */
  sentVdis: readonly SentVdi[]
  /** How to reach the destination (src/remote). */
  remote: StringMap
  createdAt: Date
}

/**
 * A VM that comes from another server: an invitation, and each attempt to bring one. One that was
 * given up has no row: whoever asks for one that is not there is told that it was.
 */
export interface IncomingMoveTable {
  uuid: string
  /** Of an attempt: what let it in. Null: it is an invitation, which brings nothing itself. */
  invitationUuid: string | null
  /** Of the secret that its source shows. */
  secretHash: string
  /** Who let it in; null once the user is gone. */
  userUuid: string | null
  /** Of the interfaces that name no other. */
  networkUuid: string
  state: 'open' | 'committed'
  /** The VM that has come; null while it is open. */
  vmUuid: string | null
  createdAt: Date
  lastActiveAt: Date
}

/** A VM or a snapshot of it, as it will be when its move is committed. */
export interface IncomingVmTable {
  uuid: string
  incomingMoveUuid: string
  /** In the order of which they are made. */
  position: number
  vm: Omit<VmTable, 'uuid' | 'createdAt' | 'snapshotTime'> & {
    readonly snapshotTime: string | null
  }
  vbds: readonly Omit<VbdTable, 'uuid' | 'vmUuid' | 'createdAt'>[]
  vifs: readonly Omit<VifTable, 'uuid' | 'vmUuid' | 'createdAt'>[]
}
