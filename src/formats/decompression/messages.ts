// What decompress-worker.ts and worker-pool.ts say to each other: pieces that belong together go to
// the worker at once, because each message and each wait costs as much as decompressing one.

/** How pieces are compressed. */
export type Method = 'inflateRaw' | 'inflate' | 'zstd'

/** A window of more memory than 2 to this is refused, as by QEMU. */
export const zstdWindowLog = 23

export interface Batch {
  readonly method: Method
  /** No piece holds more, in bytes. */
  readonly unitSize: number
  /** The pieces, one after the other, and room that is not used. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of the pieces, in bytes. */
  readonly lengths: readonly number[]
  /** Where what they hold goes, `unitSize` bytes apart. */
  readonly content: Uint8Array<ArrayBuffer>
}

/** The buffers of the batch come back. */
export interface DecompressedBatch extends Pick<Batch, 'bytes' | 'content'> {
  /** The length of what each piece holds, or what is wrong with it. */
  readonly outcomes: readonly (number | string)[]
}
