// What readers of a storage repository hold open: until they close it, its layers stay.

import type { LayerRow } from '../../catalog/layers/layers.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { MapRun } from '../../disk/block-map.ts'
import type { Disk } from '../../disk/disk.ts'
import type { ByteRange } from '../../disk/extents.ts'

export interface OpenedVdi {
  readonly disk: Disk
  /** Its layers, top first; none for a VDI that was never written. */
  readonly chain: readonly LayerRow[]
  /** As it was opened: a file that others have changed gives it another content uuid than it had. */
  readonly vdi: VdiRow
  /** The same of what a delta is taken against. */
  readonly baseVdi?: VdiRow
  /**
   * Says whether what was read so far is the content, before it is believed.
   * @throws ChangedFileError VDI_IO_ERROR where a file was changed by others since it was opened
   */
  readonly verify: () => Promise<void>
}

export interface OpenedRuns {
  readonly chain: readonly LayerRow[]
  /** See OpenedVdi. */
  readonly vdi: VdiRow
  /** See ChainDisk. */
  runs(range: ByteRange): AsyncIterable<MapRun> | Iterable<MapRun>
  /** See OpenedVdi. */
  readonly verify: () => Promise<void>
  close(): Promise<void>
}

export interface HeldVdis {
  /** In the order of the uuids. */
  readonly vdis: readonly VdiRow[]
  /** Idempotent. */
  readonly release: () => void
}

/** The layers of a chain, top first, kept from being deleted until released. */
export interface PinnedChain {
  readonly chain: readonly LayerRow[]
  readonly release: () => void
}
