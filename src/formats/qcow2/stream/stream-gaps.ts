// What a stream brings between the clusters that its decoder waits for: parked as long as an L2
// table may still name it, skipped where it is known to be none of the guest's (refcounts, and what
// zero clusters hold allocated). Refcounts are read for one thing only: where their blocks lie.

import { cutShort } from '../../../errors.ts'
import { joinUint32, viewOf } from '../../../image/binary.ts'
import type { ForwardReader } from '../../../image/forward-reader.ts'
import { alignUp, KiB, MiB } from '../../../units.ts'
import { ClusterQueue } from './cluster-queue.ts'
import { TABLE_ENTRY_SIZE } from '../constants.ts'
import type { DecodeLimits } from './decode-limits.ts'
import type { Header } from '../header/header.ts'
import type { ParkedClusters } from './parked-clusters.ts'
import { endsInLastCluster } from './short-end.ts'

/** Bytes of the refcount table, and of parked clusters, that are read at once. */
const tablePieceSize = 64 * KiB
const parkPieceSize = MiB

export class StreamGaps {
  readonly #stream: ForwardReader
  readonly #header: Header
  readonly #parked: ParkedClusters
  readonly #limits: DecodeLimits
  readonly #signal: AbortSignal | undefined
  readonly #ignored = new ClusterQueue()
  /** Where the refcount table begins; Infinity without one, and when it has been read. */
  #refcountTable: number
  readonly #refcountTableEnd: number
  #piece: Uint8Array | undefined

  constructor(
    stream: ForwardReader,
    header: Header,
    parked: ParkedClusters,
    limits: DecodeLimits,
    signal: AbortSignal | undefined,
  ) {
    this.#stream = stream
    this.#header = header
    this.#parked = parked
    this.#limits = limits
    this.#signal = signal
    this.#refcountTable = header.refcountTableLength > 0 ? header.refcountTableOffset : Infinity
    this.#refcountTableEnd = header.refcountTableOffset + header.refcountTableLength
  }

  /**
   * Clusters that are none of the guest's. Too many to remember are parked, which harms nothing.
   */
  ignore(offset: number, count: number): void {
    const isAhead = offset >= this.#stream.offset
    if (isAhead && this.#ignored.size < this.#limits.ignoredRuns)
      this.#ignored.push(offset, 0, count)
  }

  /** Goes on to `offset`, parking all that has no meaning yet. */
  async parkUpTo(offset: number, what: string): Promise<void> {
    await this.skipUpTo(Math.min(offset, this.#nextCluster()), what)
    while (!this.#hasReached(offset)) {
      const at = this.#stream.offset
      // One that was passed, or that something else overlaps: refcounts are not needed to read.
      const isInside = this.#refcountTable >= at && this.#refcountTableEnd <= offset
      if (!isInside && this.#refcountTable < offset) this.#refcountTable = Infinity
      if (at === this.#refcountTable) {
        await this.#readRefcountTable(what)
        await this.skipUpTo(Math.min(offset, this.#nextCluster()), what)
        continue
      }
      const stop = Math.min(offset, this.#refcountTable)
      const ignored = this.#ignoredFrom(at)
      if (ignored > at) await this.#park(Math.min(stop, ignored), what)
      else await this.#skipIgnored(stop, what)
    }
  }

  /**
   * Goes on to `offset`, parking everything: without gaps the list of what is parked stays short.
   */
  async parkAllUpTo(offset: number, what: string): Promise<void> {
    await this.skipUpTo(Math.min(offset, this.#nextCluster()), what)
    while (!this.#hasReached(offset)) await this.#park(offset, what)
  }

  /** Goes on to `offset`, keeping nothing. */
  async skipUpTo(offset: number, what: string): Promise<void> {
    const length = offset - this.#stream.offset
    if (length > 0) await this.#stream.skip(length, what)
  }

  /** The next cluster's beginning, where a table or the last cluster ended within one. */
  #nextCluster(): number {
    return alignUp(this.#stream.offset, this.#header.clusterSize)
  }

  /** Also where the stream has ended within the cluster before `offset`: its rest was filled in. */
  #hasReached(offset: number): boolean {
    return this.#nextCluster() >= offset
  }

  /** Where the nearest ignored run begins that is not behind; Infinity without one. */
  #ignoredFrom(offset: number): number {
    for (;;) {
      const first = this.#ignored.firstOffset
      if (first === undefined) return Infinity
      if (first >= offset) return first
      this.#ignored.shift()
    }
  }

  async #skipIgnored(offset: number, what: string): Promise<void> {
    const length = this.#ignored.firstCount * this.#header.clusterSize
    this.#ignored.shift()
    await this.skipUpTo(Math.min(offset, this.#stream.offset + length), what)
  }

  /** One piece of whole clusters; the image may end within the last one, its rest is zeros. */
  async #park(offset: number, what: string): Promise<void> {
    const { clusterSize } = this.#header
    const at = this.#stream.offset
    this.#piece ??= new Uint8Array(Math.max(parkPieceSize, clusterSize))
    const length = Math.min(offset - at, this.#piece.length)
    const count = await this.#stream.readUpTo(this.#piece.subarray(0, length))
    const end = this.#stream.offset
    if (count < length && !endsInLastCluster(end, at + length, this.#header)) {
      const expected = `expected ${length} bytes at ${at}`
      throw cutShort(what, `the stream ends after ${end} bytes, ${expected}`)
    }
    const whole = alignUp(length, clusterSize)
    this.#piece.fill(0, count, whole)
    await this.#parked.park(at, this.#piece.subarray(0, whole), this.#signal)
  }

  /** Contiguous blocks are one run. An invalid entry is ignored. */
  async #readRefcountTable(what: string): Promise<void> {
    const { clusterSize, refcountTableLength } = this.#header
    this.#refcountTable = Infinity
    const piece = new Uint8Array(Math.min(tablePieceSize, refcountTableLength))
    let start = 0
    let end = 0
    for (let done = 0; done < refcountTableLength; done += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, refcountTableLength - done))
      await this.#stream.read(bytes, `${what} (refcount table)`)
      const view = viewOf(bytes)
      for (let at = 0; at < bytes.length; at += TABLE_ENTRY_SIZE) {
        const block = blockOffset(view, at, clusterSize)
        if (block === 0) continue
        if (block !== end) {
          if (end > start) this.ignore(start, (end - start) / clusterSize)
          start = block
        }
        end = block + clusterSize
      }
    }
    if (end > start) this.ignore(start, (end - start) / clusterSize)
  }
}

/** Where a refcount block lies; 0 for none, or for a value that cannot be one. */
const blockOffset = (view: DataView, at: number, clusterSize: number): number => {
  const offset = joinUint32(view.getUint32(at), view.getUint32(at + 4))
  return offset <= Number.MAX_SAFE_INTEGER && offset % clusterSize === 0 ? offset : 0
}
