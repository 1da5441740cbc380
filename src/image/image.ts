// The contract of file bytes: what travels or lies at rest. Implemented by files, by memory and by
// the plans of formats; knows nothing of guests, formats or HTTP.

import type { ByteRange, Extent } from '../disk/extents.ts'

/** What tells one state of a file from another. */
export interface FileState {
  /** In bytes. */
  readonly size: number
  /** Of the last write (mtime), in nanoseconds since 1970. Anybody may set it back. */
  readonly changedAt: bigint
  /** Of the last change of anything: content, name, owner, rights (ctime). Nobody sets it. */
  readonly inodeChangedAt: bigint
  readonly inode: bigint
}

/** A fixed number of bytes, readable at any offset, any number of reads at a time. */
export interface Image {
  /** In bytes. */
  readonly size: number

  /** Fills `target` with the bytes at `offset`, or throws. A range past the end is a RangeError. */
  read(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>

  /**
   * Which stretches of the file the storage holds as data and which as holes (`data` and `hole`
   * only). Ascending, gap-free, coalesced, covering `range` exactly. Absent: the storage cannot
   * tell.
   */
  extents?(range?: ByteRange): AsyncIterable<Extent>

  /** The file as it is at this moment. Absent: nobody else can change it. */
  state?(): Promise<FileState>

  /** Idempotent. */
  close(): Promise<void>
}

/** An image under construction: a file in staging, or memory. */
export interface WritableImage extends Image {
  /** Grows with writes past the end; a gap reads as zeros. */
  readonly size: number

  /**
   * Writes all of `source` at `offset`. The caller may reuse `source` when the promise has settled.
   */
  write(offset: number, source: Uint8Array, signal?: AbortSignal): Promise<void>

  /** Cuts or extends to `size` bytes; what is added reads as zeros. */
  truncate(size: number): Promise<void>

  /** Returns when all that was written is on the storage (fsync). */
  sync(): Promise<void>
}
