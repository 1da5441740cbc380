// The contract of an image format: three verbs between guest bytes and file bytes, and one more for
// those that VDIs may lie in. raw/ is the smallest implementation. A format knows no HTTP, no SQL
// and no path.

import type { Disk, DiskWrite, DiskWriter } from '../disk/disk.ts'
import type { FormatName } from '../format-table.ts'
import type { BufferPool } from '../image/buffer-pool.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import type { Image, WritableImage } from '../image/image.ts'
import type { Spool } from '../image/spool.ts'

export interface ImageFormat {
  readonly name: FormatName

  /** The largest virtual size in bytes that an image of this format may have. */
  readonly maximumSize: number

  /** Part of every ETag: raised when `plan` lays out its bytes differently than before. */
  readonly planVersion: number

  /**
   * Since when images are laid out so, raised with `planVersion`: the bytes of an export are no
   * older.
   */
  readonly planDate: Date

  /**
   * Reads a whole image. The disk owns `image` and closes it; on a throw the caller still does.
   * `hole` extents are those that a parent would answer; without a parent they read as zeros.
   * @throws AppError IMPORT_ERROR_GENERIC naming the field that is wrong, or the feature that is
   *   not supported
   */
  open(image: Image): Promise<Disk>

  /**
   * Lays out an image of `disk`, without reading its data: a pure function of the disk and
   * `identity`, with no clock and no random number, so that any range can be asked for again. Reads
   * of the image read the disk. The image owns `disk` and closes it; on a throw the caller still
   * does. Without `identity.base`: the whole disk, holes and zeros absent. With it: a delta, in
   * which `data` and `zero` extents have changed, holes have not, and the disk reads right
   * everywhere.
   * @throws AppError VDI_TOO_LARGE above `maximumSize`; VALUE_NOT_SUPPORTED for an option or a
   *   delta that the format does not have
   */
  plan(disk: Disk, identity: ImageIdentity, options?: PlanOptions): Promise<Image>

  /**
   * Reads an image from a stream that goes only forward. Returns when the virtual size is known and
   * everything before it has been checked; `writes` does the rest.
   * @throws AppError IMPORT_ERROR_GENERIC for what breaks the format, VDI_IO_ERROR for a stream
   *   that ends early
   */
  decode(stream: ForwardReader, context: DecodeContext): Promise<DecodedImage>

  /**
   * What an image at rest says of itself, for scans of folders where others wrote the images. Reads
   * headers only; closes nothing.
   * @throws AppError IMPORT_ERROR_GENERIC where they are broken
   */
  describe(image: Image): Promise<ImageDescription>

  /**
   * What an image that cannot be read calls its parent, as far as it can be made out. Throws where
   * it cannot. Absent: what `describe` says is all.
   */
  parentNames?(image: Image): Promise<readonly string[]>

  /**
   * Looks at what `open` does not read and an export meets later: tables, not data, and of large
   * images a sample. Absent: there is nothing.
   * @throws AppError IMPORT_ERROR_GENERIC for what an export would refuse
   */
  checkTables?(image: Image): Promise<void>

  /**
   * Writes an image of `disk` whose length nobody knows before its end, because its data is
   * compressed on the way: the subformats that `formatTable` lists as `streamed`, and whatever is
   * asked for with a `compression`. The caller has seen to `maximumSize`. A function of the
   * disk and `identity` alone, like `plan`. To be iterated once; chunks of any length, not to be
   * changed after. Closes `disk` when it ends, fails or is left. Absent: every subformat is
   * planned.
   */
  encode?(
    disk: Disk,
    identity: ImageIdentity,
    options?: PlanOptions & { readonly signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array, void, undefined>

  /** How often `encode` reads the data of the disk. Absent: once. */
  readonly encodePasses?: number
}

/** A format in which VDIs may lie: `mayHoldVdis` in the table. */
export interface LayerFormat extends ImageFormat {
  /**
   * Starts a layer at rest in an empty file. The layer owns neither `file` nor `parent`: the caller
   * closes both.
   * @throws AppError VALUE_NOT_SUPPORTED for a parent where the format has none (raw),
   *   VDI_TOO_LARGE
   */
  createLayer(file: WritableImage, options: LayerOptions): Promise<LayerWriter>
}

/** As the image says; the files that it names are never opened. */
export interface ImageDescription {
  /** Where the format has one: what a differencing image on top calls its parent. */
  readonly imageUuid?: string
  /** XenServer's mark of an image that is there only for those on top of it. */
  readonly isHidden: boolean
  /** Absent for a whole disk. */
  readonly parent?: ParentClaim
}

export interface ParentClaim {
  /** All that the image calls its parent, the best first: names, paths, URLs, anything. */
  readonly names: readonly string[]
  /** The parent's own id; absent where the image does not say. */
  readonly uuid?: string
  /** `unknown` for a name that is not a format of ours; absent if the image names none. */
  readonly format?: FormatName | 'unknown'
}

/** What an exported image says about itself. */
export interface ImageIdentity {
  /** Of the VDI: the VHD's own unique id. */
  readonly uuid: string
  /** When the content was sealed, in the past: the VHD's timestamp. */
  readonly timestamp: Date
  /** Given: the image is a delta on top of this one. */
  readonly base?: { readonly uuid: string; readonly timestamp: Date }
}

export interface PlanOptions {
  /**
   * `compact`: single clusters, zero flags and a backing name (QCOW2 deltas only). Default
   * `compatible`.
   */
  readonly delta?: 'compatible' | 'compact'
  /** One of those that `formatTable` lists for the format. Default: the first of them. */
  readonly subformat?: string
  /** One of those that `formatTable` lists for the format. Default: none. */
  readonly compression?: string
}

export interface DecodeContext {
  /** Where the bytes of data writes come from. */
  readonly buffers: BufferPool
  /**
   * Opens a place for bytes that must wait; the decoder closes it, unless its writes are never
   * asked for. Called at most once.
   */
  readonly openSpool: () => Promise<Spool>
  /** Length of the stream in bytes, where it is known. */
  readonly streamLength?: number
  /**
   * Virtual size of the VDI that the image goes to, where there is one. Raw takes its size from it.
   */
  readonly diskSize?: number
  /**
   * The most that the virtual size may be where nothing tells it before the end, whose stream says
   * itself that it is whole: raw then takes it from there.
   */
  readonly largestSize?: number
  /** The sender says that a raw stream of unknown length may end anywhere. */
  readonly mayBeShort?: boolean
  readonly signal?: AbortSignal
}

export interface DecodedImage {
  /**
   * In bytes, as the image's header says it; of an image with `endSize` the most that it can be.
   */
  readonly virtualSize: number
  /**
   * Of an image that does not say its size before its end: the virtual size. To be called when all
   * `writes` have been read.
   */
  readonly endSize?: () => number
  /**
   * True where unallocated blocks mean "as it was" by the image's own word: VHD differencing, QCOW2
   * with a backing name.
   */
  readonly isDelta: boolean
  /**
   * What a delta calls that on which it lies: a uuid, or any name. The image's word; opened by
   * nobody.
   */
  readonly baseName?: string
  /**
   * What else the image holds and an import leaves out, each a short sentence without its full
   * stop. A handful at most, whatever the image says. Absent: nothing is left out.
   */
  readonly notes?: readonly string[]
  /**
   * What the image holds, in the order of its file, each guest byte at most once, all inside
   * `virtualSize`. Ends after the last byte that belongs to the image; what follows in the stream
   * is not read. To be iterated once. Throws like decode.
   */
  writes(): AsyncIterable<DiskWrite>
}

export interface LayerOptions {
  /** Virtual size in bytes. */
  readonly size: number
  /** Of the layer: its file is `<uuid>.<format>`. */
  readonly uuid: string
  /** Now, for formats that keep a time. */
  readonly timestamp: Date
  /** The layer below, absent for a whole disk. */
  readonly parent?: LayerParent
  /**
   * Each zeroed stretch is told as `zero`, whether or not anything lies below it: for copies of
   * layers.
   */
  readonly keepsZeros?: boolean
}

export interface LayerParent {
  readonly uuid: string
  readonly timestamp: Date
  readonly format: FormatName
  /** Name of the parent's file in the same folder. */
  readonly fileName: string
  /** The whole chain below, for blocks that are written in part. */
  readonly disk: Disk
}

/**
 * A layer being written, in any order, some blocks more than once. Memory is bounded whatever its
 * size.
 */
export interface LayerWriter extends DiskWriter {
  /**
   * Writes the metadata that makes the file a valid image. Nothing may be written after it.
   * The file is not synced: the store does that.
   * @param size the virtual size, where it is known only now: whole sectors, no more than the layer
   *   was started with, and nothing was written after them. Only without a parent.
   */
  seal(size?: number): Promise<void>
}
