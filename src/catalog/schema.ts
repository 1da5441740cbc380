// The tables of the catalog as Kysely sees them: one interface a table, whose members are the rows'
// own values. Columns are the same names in snake case. How a Date, a boolean or a map is stored is
// the dialect's business. migrations/ makes the tables; the two change together.

import type { FormatName } from '../format-table.ts'
import type { NamedTable, StringMap } from './column-types.ts'
import type { IncomingMoveTable, IncomingVmTable, OutgoingMoveTable } from './moves/move-tables.ts'
import type { NetworkTable, VbdTable, VifTable, VmTable } from './vms/vm-tables.ts'

export type { StringMap } from './column-types.ts'

export type Role =
  'pool-admin' | 'pool-operator' | 'vm-power-admin' | 'vm-admin' | 'vm-operator' | 'read-only'

/** The type of a VDI whose data was destroyed: only what has changed is still known. */
export const METADATA_ONLY = 'cbt_metadata'

/** What a VDI may be for; all but `cbt_metadata` are kept for clients. */
export const vdiTypes = [
  'system',
  'user',
  'ephemeral',
  'suspend',
  'crashdump',
  'ha_statefile',
  'metadata',
  'redo_log',
  'rrd',
  'pvs_cache',
  METADATA_ONLY,
] as const

export interface PoolTable extends NamedTable {
  masterUuid: string
  defaultSrUuid: string | null
  tags: readonly string[]
}

export interface HostTable extends NamedTable {
  hostname: string
  address: string
  tags: readonly string[]
}

/** A storage manager: the driver of all storage repositories of one type. */
export interface SmTable extends NamedTable {
  type: string
  /** The first is what a VDI gets that asks for none. */
  supportedImageFormats: readonly FormatName[]
}

export interface SrTable extends NamedTable {
  type: string
  contentType: string
  shared: boolean
  /** Where the layers lie; empty: the store decides. */
  path: string
  /** What a VDI gets that asks for no format. */
  defaultFormat: FormatName
  smConfig: StringMap
  /** As SR.create was given it. */
  deviceConfig: StringMap
  /** Nothing is ever written there. */
  readOnly: boolean
  /** False: it was introduced, or its PBD destroyed, and nobody has said yet where it lies. */
  hasPbd: boolean
  /** False: it stays detached until its PBD is plugged. */
  isPlugged: boolean
  /** Of its PBD. */
  pbdOtherConfig: StringMap
  tags: readonly string[]
}

/** One image file in a storage repository. */
export interface LayerTable {
  uuid: string
  srUuid: string
  /** The layer below, null for a whole one. */
  parentUuid: string | null
  format: FormatName
  state: 'writing' | 'sealed' | 'deleting'
  /** In bytes. */
  virtualSize: number
  /** In bytes, allocated or length as the store counts; 0 while writing. */
  fileSize: number
  /** False: only its block map is left, to tell what has changed. */
  hasData: boolean
  /**
   * Of a file that was there before; null: the name that diskport gives it (layer-file-name.ts).
   */
  fileName: string | null
  /** What the file looked like when it was found, for one that others may change; null: ours. */
  fileStamp: string | null
  /** Of such a file: VDI.destroy has asked for it to go. Others are never deleted. */
  destroyed: boolean
  createdAt: Date
}

export interface VdiTable extends NamedTable {
  srUuid: string
  /** In bytes, a multiple of 512. */
  virtualSize: number
  /** The top layer; null: all zeros. */
  layerUuid: string | null
  /**
   * Names the content: another one, whenever the content may be another. Snapshots and clones share
   * it, merging layers keeps it. Null: never written.
   */
  contentUuid: string | null
  /** When the content was sealed; null: never written. */
  contentAt: Date | null
  /** When an image of it last became another: by new content, another size, or a move. */
  changedAt: Date
  /** Whether clients may ask which blocks have changed. */
  cbtEnabled: boolean
  /** At rest. */
  format: FormatName
  /** What `sm_config:image-format` asked for; null: the format was the driver's choice. */
  requestedFormat: FormatName | null
  type: string
  sharable: boolean
  readOnly: boolean
  /** As the client gave it, without the keys that name a format. */
  smConfig: StringMap
  xenstoreData: StringMap
  tags: readonly string[]
  isSnapshot: boolean
  snapshotOfUuid: string | null
  snapshotTime: Date | null
  /** A scan found that a file which it needs is not there, or not what it was. */
  missing: boolean
  /** What a virtual machine does with it when it boots; kept for clients. */
  onBoot: 'persist' | 'reset'
  /** Kept for clients. */
  allowCaching: boolean
  /** The move that brings it, which alone sees it; null: it is here. */
  incomingMoveUuid: string | null
}

export interface UserTable {
  uuid: string
  name: string
  passwordHash: string
  role: Role
  createdAt: Date
}

export interface SessionTable {
  uuid: string
  /** Of the secret reference, which is stored nowhere. */
  refHash: string
  userUuid: string
  originator: string
  createdAt: Date
  lastActiveAt: Date
}

export type TaskStatus = 'pending' | 'success' | 'failure' | 'cancelling' | 'cancelled'

export interface TaskTable extends NamedTable {
  status: TaskStatus
  /** 0 to 1. */
  progress: number
  /** Empty, or an XML-RPC `<value>`. */
  result: string
  /** Of a failure: the error's code and its parameters. */
  errorInfo: readonly string[]
  /** Whose task it is; null once the user is gone. */
  userUuid: string | null
  subtaskOfUuid: string | null
  /** Whether a transfer has taken the task as its own. */
  hasTransfer: boolean
  finishedAt: Date | null
}

export interface Tables {
  pools: PoolTable
  hosts: HostTable
  sms: SmTable
  srs: SrTable
  layers: LayerTable
  vdis: VdiTable
  vms: VmTable
  vbds: VbdTable
  vifs: VifTable
  networks: NetworkTable
  outgoingMoves: OutgoingMoveTable
  incomingMoves: IncomingMoveTable
  incomingVms: IncomingVmTable
  users: UserTable
  sessions: SessionTable
  tasks: TaskTable
}
