// Clusters that a stream brought before their meaning was known: which there are, as runs of (image
// → parked), and which of them were used since, a bit each. parked-bytes.ts has their content.

import type { Spool } from '../../../image/spool.ts'
import { spansInCluster } from '../compressed.ts'
import type { Header } from '../header/header.ts'
import type { DecodeLimits } from './decode-limits.ts'
import { ParkedBytes } from './parked-bytes.ts'

export class ParkedClusters {
  readonly #clusterSize: number
  readonly #limits: DecodeLimits
  /** Always whole clusters. */
  readonly #bytes: ParkedBytes
  #runs = 0
  /** Where each run begins in the image, and among the parked bytes; both ascending. */
  #imageOffsets = new Float64Array(64)
  #parkedOffsets = new Float64Array(64)
  /** Where the last run ends in the image. */
  #imageEnd = -1
  /** A bit for each parked cluster: it was taken. */
  #taken = new Uint8Array(64)
  /** How many compressed clusters begin in each parked one; as long as it needs to be. */
  #begun = new Uint32Array(0)

  constructor(clusterSize: number, limits: DecodeLimits, openSpool: () => Promise<Spool>) {
    this.#clusterSize = clusterSize
    this.#limits = limits
    this.#bytes = new ParkedBytes(limits, openSpool)
  }

  /** True where more gaps would cost too much memory: then all that comes is to be parked. */
  get isFragmented(): boolean {
    return this.#runs >= this.#limits.parkedRuns
  }

  /** Keeps a copy of whole clusters at `imageOffset`, which is after all that was parked before. */
  async park(imageOffset: number, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#addRun(imageOffset, bytes.length)
    await this.#bytes.append(bytes, signal)
  }

  /**
   * How many bytes from `imageOffset` on are here, one after the other; 0 where that cluster is
   * not.
   */
  lengthAt(imageOffset: number): number {
    const run = this.#runAt(imageOffset)
    if (run < 0) return 0
    const inside = imageOffset - this.#imageOffsets[run]!
    return Math.max(0, this.#parkedEnd(run) - this.#parkedOffsets[run]! - inside)
  }

  /** Fills `target` with what was parked at `imageOffset`; the caller has asked lengthAt. */
  read(imageOffset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#bytes.read(this.#parkedOffset(imageOffset), target, signal)
  }

  /**
   * Marks `count` clusters as used.
   * @returns where the first one lies in the image that was used before; undefined where none was
   */
  take(imageOffset: number, count: number): number | undefined {
    const first = this.#parkedOffset(imageOffset) / this.#clusterSize
    for (let index = 0; index < count; index += 1) {
      const bit = 1 << ((first + index) % 8)
      const at = Math.floor((first + index) / 8)
      if ((this.#taken[at]! & bit) !== 0) return imageOffset + index * this.#clusterSize
      this.#taken[at]! |= bit
    }
    return undefined
  }

  /**
   * Counts a compressed cluster that begins in this one.
   * @returns false where no more can begin there
   */
  countBegun(imageOffset: number, { clusterSize, compression }: Header): boolean {
    const index = this.#parkedOffset(imageOffset) / this.#clusterSize
    if (index >= this.#begun.length) {
      const larger = new Uint32Array(Math.max(64, this.#taken.length * 8))
      larger.set(this.#begun)
      this.#begun = larger
    }
    this.#begun[index]! += 1
    return this.#begun[index]! <= spansInCluster(clusterSize, compression)
  }

  /** Forgets all. Idempotent. */
  async close(): Promise<void> {
    this.#runs = 0
    await this.#bytes.close()
  }

  #parkedEnd(run: number): number {
    return run + 1 < this.#runs ? this.#parkedOffsets[run + 1]! : this.#bytes.length
  }

  #parkedOffset(imageOffset: number): number {
    const run = this.#runAt(imageOffset)
    return this.#parkedOffsets[run]! + (imageOffset - this.#imageOffsets[run]!)
  }

  /** Index of the last run that begins at or before `imageOffset`; -1 where none does. */
  #runAt(imageOffset: number): number {
    let low = 0
    let high = this.#runs
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#imageOffsets[middle]! <= imageOffset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  #addRun(imageOffset: number, length: number): void {
    if (imageOffset !== this.#imageEnd) {
      if (this.#runs === this.#imageOffsets.length) {
        this.#imageOffsets = doubled(this.#imageOffsets)
        this.#parkedOffsets = doubled(this.#parkedOffsets)
      }
      this.#imageOffsets[this.#runs] = imageOffset
      this.#parkedOffsets[this.#runs] = this.#bytes.length
      this.#runs += 1
    }
    this.#imageEnd = imageOffset + length
    const bits = Math.ceil((this.#bytes.length + length) / this.#clusterSize)
    while (this.#taken.length * 8 < bits) {
      const larger = new Uint8Array(this.#taken.length * 2)
      larger.set(this.#taken)
      this.#taken = larger
    }
  }
}

const doubled = (values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> => {
  const larger = new Float64Array(values.length * 2)
  larger.set(values)
  return larger
}
