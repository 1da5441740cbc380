// Bytes that wait for their meaning, in the order they came. Three places, one after the other:
// memory, then the spool, then what is gathered until it is worth a write to the spool.

import type { Spool } from '../../../image/spool.ts'
import { KiB } from '../../../units.ts'
import type { DecodeLimits } from './decode-limits.ts'

export class ParkedBytes {
  readonly #limits: DecodeLimits
  readonly #openSpool: () => Promise<Spool>
  /** Grows up to the limit, and stays. */
  #memory = Buffer.alloc(0)
  #inMemory = 0
  #spool: Spool | undefined
  #spooled = 0
  #gather: Buffer | undefined
  #gathered = 0

  constructor(limits: DecodeLimits, openSpool: () => Promise<Spool>) {
    this.#limits = limits
    this.#openSpool = openSpool
  }

  /** Number of bytes kept. */
  get length(): number {
    return this.#inMemory + this.#spooled + this.#gathered
  }

  /** Keeps a copy of `bytes` after all the others. */
  async append(bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { parkedBytes, gatheredBytes } = this.#limits
    const kept = bytes.subarray(0, parkedBytes - this.#inMemory)
    if (kept.length > 0) this.#remember(kept)
    const rest = bytes.subarray(kept.length)
    if (this.#gathered + rest.length > gatheredBytes) await this.#spoolGathered(signal)
    if (rest.length > gatheredBytes) {
      await this.#spoolBytes(rest, signal)
      return
    }
    if (rest.length === 0) return
    this.#gather ??= Buffer.allocUnsafeSlow(gatheredBytes)
    this.#gather.set(rest, this.#gathered)
    this.#gathered += rest.length
  }

  /** Fills `target` with bytes kept from `offset` on. */
  async read(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    const spoolStart = this.#inMemory
    const gatherStart = spoolStart + this.#spooled
    const end = offset + target.length
    if (offset < spoolStart) target.set(this.#memory.subarray(offset, Math.min(end, spoolStart)))
    const from = Math.max(offset, spoolStart)
    const to = Math.min(end, gatherStart)
    if (from < to) {
      await this.#spool!.read(
        from - spoolStart,
        target.subarray(from - offset, to - offset),
        signal,
      )
    }
    const rest = Math.max(offset, gatherStart)
    if (rest < end) {
      const bytes = this.#gather!.subarray(rest - gatherStart, end - gatherStart)
      target.set(bytes, rest - offset)
    }
  }

  /** Forgets all. Idempotent. */
  async close(): Promise<void> {
    this.#memory = Buffer.alloc(0)
    this.#gather = undefined
    const spool = this.#spool
    this.#spool = undefined
    await spool?.close()
  }

  #remember(bytes: Uint8Array): void {
    const length = this.#inMemory + bytes.length
    if (length > this.#memory.length) {
      const capacity = Math.max(length, this.#memory.length * 2, 64 * KiB)
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#limits.parkedBytes, capacity))
      larger.set(this.#memory.subarray(0, this.#inMemory))
      this.#memory = larger
    }
    this.#memory.set(bytes, this.#inMemory)
    this.#inMemory = length
  }

  async #spoolGathered(signal: AbortSignal | undefined): Promise<void> {
    if (this.#gathered === 0) return
    const bytes = this.#gather!.subarray(0, this.#gathered)
    this.#gathered = 0
    await this.#spoolBytes(bytes, signal)
  }

  async #spoolBytes(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    this.#spool ??= await this.#openSpool()
    this.#spooled += bytes.length
    await this.#spool.append(bytes, signal)
  }
}
