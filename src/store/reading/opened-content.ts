// What a reader of a VDI is given, whether it reads all of it or a delta: until it is closed, the
// layers below it stay.

import type { LayerRow } from '../../catalog/layers/layer-row.ts'
import type { VdiRow } from '../../catalog/vdis.ts'
import type { MapRun } from '../../disk/block-map.ts'
import type { Disk } from '../../disk/disk.ts'
import type { ByteRange } from '../../disk/extents.ts'

export interface OpenedContent {
  /** Closing it ends the hold on the layers. The extents of a delta tell only what may differ. */
  readonly disk: Disk

  /** Its extents with the depth of the layer that holds each; a delta is one layer, of depth 0. */
  runs(range?: ByteRange): AsyncIterable<MapRun> | Iterable<MapRun>

  /** The layers of the VDI, top first; none for one that was never written. */
  readonly chain: readonly LayerRow[]

  /**
   * The row at the moment of opening: if others have changed a file, its content uuid is another
   * than it was before.
   */
  readonly vdi: VdiRow

  /** The same of what a delta is taken against. */
  readonly baseVdi?: VdiRow

  /**
   * Of a delta: a digest of the blocks that are sent, because the same content in other layers may
   * make other blocks. Empty for all else. Part of every ETag.
   */
  readonly basis: string

  /**
   * Says whether what was read so far is the content, before it is believed.
   * @throws ChangedFileError VDI_IO_ERROR where others have changed a file since it was opened
   */
  readonly verify: () => Promise<void>
}
