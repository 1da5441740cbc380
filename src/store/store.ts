// The contract of a storage repository: where layers lie. A layer is written once in staging,
// sealed, and never changed again. Knows layers by uuid and format; knows no VDI and no SQL.

import type { Disk, DiskWriter } from '../disk/disk.ts'
import type { FormatName, LayerOptions } from '../formats/format.ts'
import type { Spool } from '../image/spool.ts'

/** Names one layer of a store. */
export interface LayerId {
  readonly uuid: string
  readonly format: FormatName
}

export interface Store {
  /** Starts a layer in staging, where nobody sees it. The caller keeps the parent's disk open until seal or abort. */
  createLayer(layer: LayerId, options: Omit<LayerOptions, 'uuid'>): Promise<LayerDraft>

  /** Opens a sealed layer, alone: what it does not hold is a hole. */
  openLayer(layer: LayerId): Promise<Disk>

  /** Deletes a layer, sealed or in staging; one that is not there is fine. */
  removeLayer(layer: LayerId): Promise<void>

  /** A place for an upload's bytes that must wait. The caller closes it. */
  openSpool(): Promise<Spool>

  usage(): Promise<StoreUsage>
}

/** A layer being written. Ends with seal or abort, one of the two, once. */
export interface LayerDraft extends DiskWriter {
  /**
   * Makes the layer whole, durable (fsync of file and folder) and openable.
   * @returns how many bytes it takes on the storage
   */
  seal(): Promise<number>

  /** Removes all traces. Idempotent; after seal it does nothing. */
  abort(): Promise<void>
}

/** In bytes. */
export interface StoreUsage {
  /** What the storage could hold in all. */
  readonly size: number
  /** What is taken of it, by whomever. */
  readonly used: number
}

/** The file name of a layer: what a person finds in the folder, and what children call their parent. */
export const layerFileName = ({ uuid, format }: LayerId): string => `${uuid}.${format}`
