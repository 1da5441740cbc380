// Puts what a decoder reads into pooled buffers, so that neighbours on the disk become one write
// and small scattered clusters share a buffer. A buffer goes back when the last of its writes is
// released.

import type { DiskWrite } from '../disk/disk.ts'
import type { BufferPool, PooledBuffer } from '../image/buffer-pool.ts'

/** Fills `target` with the bytes from `offset` on, counted from the start of what is added. */
type Source = (target: Uint8Array, offset: number) => Promise<void>

export class WriteBatch {
  readonly #buffers: BufferPool
  readonly #signal: AbortSignal | undefined
  #buffer: PooledBuffer | undefined
  /** Who needs the buffer: the batch itself, and each write that was yielded and not released. */
  #holders = { count: 0 }
  /** The write that still grows: its bytes in the buffer, and its place on the disk. */
  #start = 0
  #end = 0
  #diskOffset = 0

  constructor(buffers: BufferPool, signal: AbortSignal | undefined) {
    this.#buffers = buffers
    this.#signal = signal
  }

  /**
   * Takes `length` bytes for `diskOffset` from `source`; yields the writes that became complete.
   */
  async *add(
    diskOffset: number,
    length: number,
    source: Source,
  ): AsyncGenerator<DiskWrite, void, undefined> {
    for (let done = 0; done < length;) {
      const follows = this.#diskOffset + (this.#end - this.#start) === diskOffset + done
      const isFull = this.#end === (this.#buffer?.bytes.length ?? 0)
      if (!follows || isFull) {
        const write = this.#cut()
        if (write !== undefined) yield write
        this.#diskOffset = diskOffset + done
      }
      if (isFull) await this.#turn()
      const room = this.#buffer!.bytes.subarray(this.#end)
      const target = room.subarray(0, Math.min(room.length, length - done))
      await source(target, done)
      this.#end += target.length
      done += target.length
    }
  }

  /** The last write, if there is one. */
  *finish(): Generator<DiskWrite, void, undefined> {
    const write = this.#cut()
    if (write !== undefined) yield write
    this.close()
  }

  /** Gives up what was not yielded. Idempotent. */
  close(): void {
    if (this.#buffer !== undefined) letGo(this.#holders, this.#buffer)
    this.#buffer = undefined
    this.#start = 0
    this.#end = 0
  }

  #cut(): DiskWrite | undefined {
    const buffer = this.#buffer
    if (buffer === undefined || this.#end === this.#start) return undefined
    const holders = this.#holders
    holders.count += 1
    let held = true
    const release = (): void => {
      if (held) letGo(holders, buffer)
      held = false
    }
    const bytes = buffer.bytes.subarray(this.#start, this.#end)
    this.#start = this.#end
    return { kind: 'data', offset: this.#diskOffset, bytes, release }
  }

  async #turn(): Promise<void> {
    this.close()
    this.#buffer = await this.#buffers.take(this.#signal)
    this.#holders = { count: 1 }
  }
}

const letGo = (holders: { count: number }, buffer: PooledBuffer): void => {
  holders.count -= 1
  if (holders.count === 0) buffer.release()
}
