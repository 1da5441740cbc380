// Compressed clusters of a stream. They lie at any byte, several in one cluster of the image and
// one in up to three, and each may begin in the sector in which another ends; so the image is read
// in whole clusters here. Decompressing goes on beside the reading, several at once, in order.
//
// Memory: 16 bytes for each that is still to come, clusters of the image (spaceSize), and for each
// that is under way its bytes and its content (Decompressor.atOnce).

import type { DiskWrite } from '../../../disk/disk.ts'
import { cutShort, imageError } from '../../../errors.ts'
import { hex } from '../../../image/binary.ts'
import type { ForwardReader } from '../../../image/forward-reader.ts'
import { alignDown, alignUp, MiB, SECTOR_SIZE } from '../../../units.ts'
import { createClusterDecompressor } from '../compressed.ts'
import type { Decompressed, Decompressor } from '../../decompression/decompressor.ts'
import type { Header } from '../header/header.ts'
import type { ClusterRun } from '../cluster-run.ts'
import { ClusterQueue } from './cluster-queue.ts'
import type { ParkedClusters } from './parked-clusters.ts'
import { usedTwice } from './parked-runs.ts'
import { guestName, lengthOf } from './run-bounds.ts'
import type { WriteBatch } from '../../write-batch.ts'

/** A compressed cluster of the guest, and where it lies in the image. */
type CompressedRun = Pick<ClusterRun, 'cluster' | 'imageOffset' | 'compressedLength'>

interface DecompressedCluster extends Decompressed {
  /** Of the guest. */
  readonly cluster: number
}

interface Parts {
  readonly stream: ForwardReader
  readonly header: Header
  /** What is being done, for messages. */
  readonly what: string
  readonly parked: ParkedClusters
  readonly batch: WriteBatch
  readonly signal: AbortSignal | undefined
}

/** In bytes; at least four clusters. */
const spaceSize = MiB

export class CompressedClusters {
  readonly #parts: Parts
  /** Still to come, by guest cluster; counts are bytes. */
  readonly #awaited = new ClusterQueue()
  /** They begin in what was read, and end after it. */
  #begun: CompressedRun[] = []
  /** What is read goes here, again and again. */
  #space = Buffer.alloc(0)
  /** The clusters of the image that were read last, a part of it, and where they begin. */
  #window = Buffer.alloc(0)
  #windowStart = 0
  /** Where the one that was taken last from `#awaited` begins. */
  #lastStart = -1
  readonly #underWay: Promise<DecompressedCluster>[] = []
  readonly #decompressor: Decompressor

  constructor(parts: Parts) {
    this.#parts = parts
    const { clusterSize, compression } = parts.header
    this.#decompressor = createClusterDecompressor(clusterSize, compression)
  }

  /** How many are still to come. */
  get size(): number {
    return this.#awaited.size
  }

  /** Where the cluster of the image begins that must be read next; undefined: none must. */
  get nextCluster(): number | undefined {
    if (this.#begun.length > 0) return this.#windowStart + this.#window.length
    const first = this.#awaited.firstOffset
    return first === undefined ? undefined : alignDown(first, this.#parts.header.clusterSize)
  }

  push({ imageOffset, cluster, compressedLength }: CompressedRun): void {
    this.#awaited.push(imageOffset, cluster, compressedLength)
  }

  /**
   * Reads the next cluster of the stream, and begins to decompress what ends in it.
   * @param isParking whether a table may come that names more in it
   * @throws AppError VDI_IO_ERROR for a stream that ends before
   */
  async readCluster(isParking: boolean): Promise<void> {
    const { stream, header, parked, signal } = this.#parts
    const { clusterSize } = header
    const start = stream.offset
    const isNext = start === this.#windowStart + this.#window.length
    // No cluster lies in more than three of the image.
    const kept = isNext ? this.#window.subarray(-2 * clusterSize) : Buffer.alloc(0)
    const from = this.#makeRoom(kept)
    const bytes = this.#space.subarray(from + kept.length, from + kept.length + clusterSize)
    const count = await stream.readUpTo(bytes)
    this.#window = this.#space.subarray(from, from + kept.length + count)
    this.#windowStart = start - kept.length
    const isFull = this.#takeBegun(start + clusterSize)
    if (isParking && !isFull) {
      bytes.fill(0, count)
      await parked.park(start, bytes, signal)
    }
    const end = start + count
    const hasEnded = count < clusterSize
    const begun = this.#begun
    this.#begun = []
    for (const run of begun) {
      const runEnd = run.imageOffset + run.compressedLength
      if (runEnd <= end || hasEnded) this.#begin(run, this.#bytesOf(run, end))
      else this.#begun.push(run)
    }
  }

  /**
   * Sees to it that a cluster follows `kept` in `#space`.
   * @returns where `kept` is there then
   */
  #makeRoom(kept: Buffer): number {
    const { clusterSize } = this.#parts.header
    if (this.#space.length === 0) {
      this.#space = Buffer.allocUnsafe(Math.max(4, spaceSize / clusterSize) * clusterSize)
    }
    const from = kept.length === 0 ? 0 : kept.byteOffset - this.#space.byteOffset
    if (from + kept.length + clusterSize <= this.#space.length) return from
    this.#space.set(kept)
    return 0
  }

  /**
   * Moves those that begin before `end` to `#begun`.
   * @returns whether nothing else can lie in the cluster of the image that ends there
   */
  #takeBegun(end: number): boolean {
    const start = end - this.#parts.header.clusterSize
    let covered = Math.max(
      start,
      ...this.#begun.map(({ imageOffset, compressedLength }) => imageOffset + compressedLength),
    )
    let isFull = true
    for (let at = this.#awaited.firstOffset; at !== undefined && at < end;) {
      const cluster = this.#awaited.firstLabel
      const compressedLength = this.#awaited.firstCount
      this.#awaited.shift()
      this.#requireApart(at, cluster)
      if (at > covered) isFull = false
      covered = Math.max(covered, at + compressedLength)
      this.#begun.push({ cluster, imageOffset: at, compressedLength })
      at = this.#awaited.firstOffset
    }
    // In the last sector of one that ends here another may begin.
    return isFull && covered > end
  }

  /** Two cannot begin at one byte. */
  #requireApart(start: number, cluster: number): void {
    if (start > this.#lastStart) {
      this.#lastStart = start
      return
    }
    const { what, header } = this.#parts
    const name = guestName(cluster * header.clusterSize)
    throw usedTwice(what, name, start)
  }

  /** @param end where the stream has come to, or has ended */
  #bytesOf({ imageOffset, compressedLength, cluster }: CompressedRun, end: number): Uint8Array {
    const runEnd = imageOffset + compressedLength
    const { what, header } = this.#parts
    // The last sector may be cut: what is said of its end is rounded up.
    if (end < alignDown(runEnd - 1, SECTOR_SIZE) || end <= imageOffset) {
      const name = guestName(cluster * header.clusterSize)
      const missing = `${name} lies at ${hex(imageOffset)}, ${compressedLength} bytes`
      throw cutShort(what, `the stream ends after ${end} bytes, ${missing}`)
    }
    const from = imageOffset - this.#windowStart
    return this.#window.subarray(from, Math.min(runEnd, end) - this.#windowStart)
  }

  /**
   * Begins to decompress one that was parked; false where it was not.
   * @throws AppError where more begin in a cluster of the image than it can hold
   */
  async takeParked(run: CompressedRun): Promise<boolean> {
    const { header, parked, signal } = this.#parts
    const start = alignDown(run.imageOffset, header.clusterSize)
    const end = alignUp(run.imageOffset + run.compressedLength, header.clusterSize)
    for (let at = start; at < end; at += header.clusterSize) {
      // What was decompressed from the stream fills its clusters, but for the first and the last.
      if (parked.lengthAt(at) === 0) return false
    }
    if (!parked.countBegun(start, header)) return false
    const bytes = new Uint8Array(run.compressedLength)
    for (let done = 0; done < bytes.length;) {
      const at = run.imageOffset + done
      const part = Math.min(
        bytes.length - done,
        alignDown(at, header.clusterSize) + header.clusterSize - at,
      )
      await parked.read(at, bytes.subarray(done, done + part), signal)
      done += part
    }
    this.#begin(run, bytes)
    return true
  }

  #begin({ cluster, imageOffset }: CompressedRun, bytes: Uint8Array): void {
    const { header, what } = this.#parts
    const decompressing = this.#decompressor.begin(bytes).then(
      (decompressed) => ({ ...decompressed, cluster }),
      (error: unknown) => {
        const name = `the compressed cluster of guest offset ${hex(cluster * header.clusterSize)}`
        const reason = error instanceof Error ? error.message : String(error)
        throw imageError(what, `${name} at ${hex(imageOffset)} cannot be read: ${reason}`)
      },
    )
    // Waited for in its turn; until then it must not count as unhandled.
    decompressing.catch(() => {})
    this.#underWay.push(decompressing)
  }

  /**
   * The content of those under way, the oldest first, as long as there are more than `keep`.
   * @param keep how many may go on beside others; default: as many as may be at once
   */
  async *writes(keep = this.#decompressor.atOnce): AsyncGenerator<DiskWrite, void, undefined> {
    const { header, batch } = this.#parts
    if (keep < this.#decompressor.atOnce) this.#decompressor.flush()
    while (this.#underWay.length > keep) {
      const { cluster, content, release } = await this.#underWay.shift()!
      const length = lengthOf({ cluster, count: 1 }, header)
      const fill = async (target: Uint8Array, offset: number): Promise<void> =>
        target.set(content.subarray(offset, offset + target.length))
      yield* batch.add(cluster * header.clusterSize, length, fill)
      release()
    }
  }
}
