// The contract of guest bytes, out (Disk) and in (DiskWriter). Start reading here, then
// memory-disk.ts is the smallest implementation. Nothing in this folder knows a file or a format.

import { AppError } from '../errors.ts'
import type { ByteRange, Extent } from './extents.ts'

/** What a virtual machine would see: `size` bytes, some of which hold data. */
export interface Disk {
  /** Virtual size in bytes, a multiple of 512, > 0. */
  readonly size: number

  /**
   * What lies where. Ascending, gap-free, coalesced (neighbours differ in kind), covering `range`
   * exactly; the whole disk without one. A range past the end is a RangeError.
   */
  extents(range?: ByteRange): AsyncIterable<Extent>

  /**
   * Fills `target` with the bytes at `offset`, zeros for holes and zero extents, or throws.
   * Offset and length may be any bytes inside the disk; a range past the end is a RangeError.
   */
  read(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>

  /**
   * Fills `target` with the bytes of `ranges`, each directly after the one before, in any order; a
   * RangeError where their lengths do not add up to that of `target`. All else is as `read` has it.
   * Absent: it would gain nothing over one read after the other. Callers use `readRanges` of
   * read-ranges.ts.
   */
  readRanges?(ranges: readonly ByteRange[], target: Uint8Array, signal?: AbortSignal): Promise<void>

  /** Idempotent. Closes what the disk was opened on. */
  close(): Promise<void>
}

/** Guest bytes going in, in any order. Offsets and lengths are multiples of 512 inside the disk. */
export interface DiskWriter {
  /** Virtual size in bytes. */
  readonly size: number

  /** Stores `source` at `offset`. The caller may reuse `source` when the promise has settled. */
  write(offset: number, source: Uint8Array, signal?: AbortSignal): Promise<void>

  /** Makes the range read as zeros, whatever a parent or an earlier write holds there. */
  zero(offset: number, length: number, signal?: AbortSignal): Promise<void>
}

/** One step of an import, as a decoder yields it: bytes for the guest, or a stretch of zeros. */
export type DiskWrite =
  | {
      readonly kind: 'data'
      readonly offset: number
      readonly bytes: Uint8Array
      /** Called by the consumer, once, when it no longer needs `bytes`. */
      readonly release?: () => void
    }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number }

/** The range asked for, or all of the disk; a RangeError where it leaves the disk. */
export const rangeWithin = (size: number, range?: ByteRange): ByteRange => {
  if (range === undefined) return { offset: 0, length: size }
  const { offset, length } = range
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length)
  if (!whole || offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(`Range of ${length} bytes at ${offset} leaves the ${size} bytes there are`)
  }
  return range
}

/** Throws the reason of an aborted signal, as an AppError. */
export const throwIfAborted = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted !== true) return
  const reason: unknown = signal.reason
  throw reason instanceof AppError ? reason : new AppError('TASK_CANCELLED', [], { cause: reason })
}
