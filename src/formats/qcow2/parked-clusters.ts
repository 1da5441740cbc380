// Clusters that a stream brought before their meaning was known. The first bytes stay in memory, the
// rest goes to the spool; what is held beside are runs of (image → parked) and one bit a cluster.

import type { Spool } from '../../image/spool.ts'
import { KiB } from '../../units.ts'
import type { DecodeLimits } from './decode-limits.ts'

export class ParkedClusters {
  readonly #openSpool: () => Promise<Spool>
  readonly #clusterSize: number
  readonly #limits: DecodeLimits
  #spool: Spool | undefined
  #memory = Buffer.alloc(0)
  /** Bytes parked so far, always whole clusters. */
  #length = 0
  #runs = 0
  /** Where each run begins in the image, and among the parked bytes; both ascending. */
  #imageOffsets = new Float64Array(64)
  #parkedOffsets = new Float64Array(64)
  /** Where the last run ends in the image. */
  #imageEnd = -1
  /** A bit for each parked cluster: it was taken. */
  #taken = new Uint8Array(64)

  constructor(clusterSize: number, limits: DecodeLimits, openSpool: () => Promise<Spool>) {
    this.#clusterSize = clusterSize
    this.#limits = limits
    this.#openSpool = openSpool
  }

  /** True where more gaps would cost too much memory: then all that comes is to be parked. */
  get isFragmented(): boolean {
    return this.#runs >= this.#limits.parkedRuns
  }

  /** Keeps a copy of whole clusters at `imageOffset`, which is after all that was parked before. */
  async park(imageOffset: number, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#addRun(imageOffset, bytes.length)
    const start = this.#length
    this.#length += bytes.length
    const inMemory = Math.min(bytes.length, Math.max(0, this.#limits.parkedBytes - start))
    if (inMemory > 0) this.#remember(start, bytes.subarray(0, inMemory))
    if (inMemory === bytes.length) return
    this.#spool ??= await this.#openSpool()
    await this.#spool.append(bytes.subarray(inMemory), signal)
  }

  /** How many bytes from `imageOffset` on are here, one after the other; 0 where that cluster is not. */
  lengthAt(imageOffset: number): number {
    const run = this.#runAt(imageOffset)
    if (run < 0) return 0
    const inside = imageOffset - this.#imageOffsets[run]!
    return Math.max(0, this.#parkedEnd(run) - this.#parkedOffsets[run]! - inside)
  }

  /** Fills `target` with what was parked at `imageOffset`; the caller has asked lengthAt. */
  async read(imageOffset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    const start = this.#parkedOffset(imageOffset)
    const inMemory = Math.min(target.length, Math.max(0, this.#limits.parkedBytes - start))
    target.set(this.#memory.subarray(start, start + inMemory))
    if (inMemory === target.length) return
    const spoolOffset = start + inMemory - this.#limits.parkedBytes
    await this.#spool!.read(spoolOffset, target.subarray(inMemory), signal)
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

  /** Forgets all. Idempotent. */
  async close(): Promise<void> {
    this.#memory = Buffer.alloc(0)
    this.#runs = 0
    const spool = this.#spool
    this.#spool = undefined
    await spool?.close()
  }

  #parkedEnd(run: number): number {
    return run + 1 < this.#runs ? this.#parkedOffsets[run + 1]! : this.#length
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
      this.#parkedOffsets[this.#runs] = this.#length
      this.#runs += 1
    }
    this.#imageEnd = imageOffset + length
    const bits = Math.ceil((this.#length + length) / this.#clusterSize)
    while (this.#taken.length * 8 < bits) {
      const larger = new Uint8Array(this.#taken.length * 2)
      larger.set(this.#taken)
      this.#taken = larger
    }
  }

  #remember(start: number, bytes: Uint8Array): void {
    if (start + bytes.length > this.#memory.length) {
      const capacity = Math.max(start + bytes.length, this.#memory.length * 2, 64 * KiB)
      const larger = Buffer.alloc(Math.min(this.#limits.parkedBytes, capacity))
      larger.set(this.#memory)
      this.#memory = larger
    }
    this.#memory.set(bytes, start)
  }
}

const doubled = (values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> => {
  const larger = new Float64Array(values.length * 2)
  larger.set(values)
  return larger
}
