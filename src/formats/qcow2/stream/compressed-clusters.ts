// Compressed clusters of a stream. They lie at any byte, several in one cluster of the image and
// one in up to three, and each may begin in the sector in which another ends; so the image is read
// in whole clusters here. Decompressing goes on beside the reading, several at once, in order.
//
// Memory: 16 bytes for each that is still to come, three clusters of the image, and for each that
// is under way its bytes and its content (decompressionsAtOnce).

import type { DiskWrite } from '../../../disk/disk.ts'
import { cutShort, imageError } from '../../../errors.ts'
import { hex } from '../../../image/binary.ts'
import type { ForwardReader } from '../../../image/forward-reader.ts'
import { alignDown, alignUp, SECTOR_SIZE } from '../../../units.ts'
import { decompressCluster, decompressionsAtOnce } from '../compressed.ts'
import type { Header } from '../header/header.ts'
import type { ClusterRun } from '../cluster-run.ts'
import { ClusterQueue } from './cluster-queue.ts'
import type { ParkedClusters } from './parked-clusters.ts'
import { usedTwice } from './parked-runs.ts'
import { guestName, lengthOf } from './run-bounds.ts'
import type { WriteBatch } from '../../write-batch.ts'

/** A compressed cluster of the guest, and where it lies in the image. */
type CompressedRun = Pick<ClusterRun, 'cluster' | 'imageOffset' | 'compressedLength'>

interface Decompressed {
  /** Of the guest. */
  readonly cluster: number
  readonly content: Uint8Array
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

export class CompressedClusters {
  readonly #parts: Parts
  /** Still to come, by guest cluster; counts are bytes. */
  readonly #awaited = new ClusterQueue()
  /** They begin in what was read, and end after it. */
  #begun: CompressedRun[] = []
  /** The clusters of the image that were read last, and where they begin. */
  #window = Buffer.alloc(0)
  #windowStart = 0
  /** Where the one that was taken last from `#awaited` begins. */
  #lastStart = -1
  readonly #underWay: Promise<Decompressed>[] = []
  readonly #atOnce: number

  constructor(parts: Parts) {
    this.#parts = parts
    this.#atOnce = decompressionsAtOnce(parts.header.clusterSize)
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
    const window = Buffer.allocUnsafe(kept.length + clusterSize)
    window.set(kept)
    const bytes = window.subarray(kept.length)
    const count = await stream.readUpTo(bytes)
    this.#window = window.subarray(0, kept.length + count)
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
    // A copy: the window is gone before it has been decompressed.
    return Uint8Array.from(this.#window.subarray(from, Math.min(runEnd, end) - this.#windowStart))
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
    const decompressing = decompressCluster(bytes, header.clusterSize, header.compression).then(
      (content) => ({ cluster, content }),
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
  async *writes(keep = this.#atOnce): AsyncGenerator<DiskWrite, void, undefined> {
    const { header, batch } = this.#parts
    while (this.#underWay.length > keep) {
      const { cluster, content } = await this.#underWay.shift()!
      const length = lengthOf({ cluster, count: 1 }, header)
      const fill = async (target: Uint8Array, offset: number): Promise<void> =>
        target.set(content.subarray(offset, offset + target.length))
      yield* batch.add(cluster * header.clusterSize, length, fill)
    }
  }
}
