// The contract of a storage repository: where layers lie. A layer is written once in staging,
// sealed, and never changed again; its file may be replaced by one that holds more, and files that
// were there before others may change. Knows layers by uuid and format; knows no VDI and no SQL.

import type { NamedLayer } from '../../catalog/layers/layer-file-name.ts'
import type { BlockMap } from '../../disk/block-map.ts'
import type { Disk, DiskWriter } from '../../disk/disk.ts'
import type { LayerOptions } from '../../formats/format.ts'
import type { Spool } from '../../image/spool.ts'
import type { LayerFolder, StoreSpace } from './layer-folder.ts'

export { layerFileName } from '../../catalog/layers/layer-file-name.ts'

/** Names one layer of a store. */
export interface LayerId extends NamedLayer {
  /** What its file must look like if others may change it; absent or null if they do not. */
  readonly fileStamp?: string | null
}

/** A layer opened for reading. */
export interface LayerDisk extends Disk {
  /**
   * Checks that what was read so far is the layer's content. Absent if it cannot change.
   * @throws ChangedFileError where the file is no longer as it was when it was opened
   */
  verify?(): Promise<void>
}

/** A sealed layer that may have lost its data. */
export interface MappedLayer extends LayerId {
  /** In bytes. */
  readonly virtualSize: number
  readonly hasData: boolean
}

export type NewLayerOptions = Omit<LayerOptions, 'uuid'>

export interface Store {
  /**
   * Starts a layer in staging, where it is not visible. The caller keeps the parent's disk open
   * until seal or abort.
   */
  createLayer(layer: LayerId, options: NewLayerOptions): Promise<LayerDraft>

  /**
   * Starts a new file for a sealed layer, in staging; one at a time. As createLayer, but zeros are
   * kept.
   */
  replaceLayer(layer: LayerId, options: NewLayerOptions): Promise<LayerReplacement>

  /**
   * Opens a sealed layer, alone: what it does not hold is a hole.
   * @throws AppError VDI_IO_ERROR where its file is missing; ChangedFileError where it is another
   *   than its stamp says
   */
  openLayer(layer: LayerId): Promise<LayerDisk>

  /** What a sealed layer holds; of one without data by the map that was kept. */
  readMap(layer: MappedLayer): Promise<BlockMap>

  /**
   * Keeps `map`, which readMap gave, beside the layer, durably: it survives removeData. Idempotent.
   */
  keepMap(layer: LayerId, map: BlockMap): Promise<void>

  /** Deletes the data of a layer whose map is kept; what is not there is fine. */
  removeData(layer: LayerId): Promise<void>

  /** Deletes a layer, sealed or in staging; one that is not there is fine. */
  removeLayer(layer: LayerId): Promise<void>

  /** At start, when nothing is being written: removes what a crash left in staging. */
  clearStaging(): Promise<void>

  /** A place for an upload's bytes that must wait. The caller closes it. */
  openSpool(): Promise<Spool>

  space(): Promise<StoreSpace>

  /**
   * Why the folder is not there: then all but this member throws SR_NOT_ATTACHED. Absent: it is
   * there.
   */
  readonly whyDetached?: string

  /** What lies there, layers or not. Absent: nothing but layers can. */
  readonly files?: StoreFiles
}

/** The files of a store as they are, for a scan. Names are plain, without any `/`. */
export type StoreFiles = Pick<LayerFolder, 'list' | 'state' | 'open'>

/** A layer being written. Ends with seal or abort, one of the two, once. */
export interface LayerDraft extends DiskWriter {
  /**
   * Makes the layer whole, durable (fsync of file and folder) and openable.
   * @param size as of LayerWriter.seal
   * @returns how many bytes it takes on the storage
   */
  seal(size?: number): Promise<number>

  /** Removes all traces. Idempotent; after seal it does nothing. */
  abort(): Promise<void>
}

/** The new file of a layer. */
export interface LayerReplacement extends DiskWriter {
  /**
   * Makes the file whole and durable, still in staging.
   * @param map what the layer is to tell from now on, exactly
   */
  seal(map: BlockMap): Promise<void>

  /**
   * Puts it in the place of the old file, durably. Who has that one open reads on in it; nobody may
   * be opening the layer meanwhile. Where it throws, the layer shows what it showed before.
   * @returns how many bytes it takes on the storage
   */
  replace(): Promise<number>

  /** Removes what is in staging. Idempotent; after replace there is nothing. */
  abort(): Promise<void>
}
