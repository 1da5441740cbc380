// The beginning of an image that comes as a stream, readable at any offset: for formats whose
// tables may lie anywhere. In memory while it is short, else in the spool; on demand all of the
// image.

import type { ForwardReader } from '../image/forward-reader.ts'
import type { Image } from '../image/image.ts'
import { createMemoryImage } from '../image/memory-image.ts'
import type { Spool } from '../image/spool.ts'
import { MiB } from '../units.ts'
import type { DecodeContext } from './format.ts'

/** Tables end before it in most of what programs write. */
const maximumInMemory = 16 * MiB

const pieceSize = MiB

export class KeptStart {
  /** What has been kept so far; grows with it. Closing it closes nothing. */
  readonly image: Image
  readonly #stream: ForwardReader
  readonly #context: Pick<DecodeContext, 'openSpool' | 'signal'>
  readonly #what: string
  #memory = createMemoryImage()
  #spool: Spool | undefined
  #size = 0

  /**
   * @param stream of which nothing has been read
   * @param what is being done, for messages
   */
  constructor(
    stream: ForwardReader,
    context: Pick<DecodeContext, 'openSpool' | 'signal'>,
    what: string,
  ) {
    this.#stream = stream
    this.#context = context
    this.#what = what
    const sizeOf = (): number => this.#size
    this.image = {
      get size() {
        return sizeOf()
      },
      read: (offset, target, signal) => (this.#spool ?? this.#memory).read(offset, target, signal),
      close: async () => {},
    }
  }

  /**
   * Keeps the stream up to `end`, if it is not there yet.
   * @param name of what is waited for, for the message
   * @throws AppError VDI_IO_ERROR where the stream ends before
   */
  async keepUntil(end: number, name: string): Promise<void> {
    if (end > maximumInMemory) await this.#turnToSpool()
    while (this.#size < end) {
      const bytes = new Uint8Array(Math.min(end - this.#size, pieceSize))
      await this.#stream.read(bytes, `${this.#what}: ${name}`)
      await this.#append(bytes)
    }
  }

  /** Reads the stream to its end. */
  async keepRest(): Promise<void> {
    await this.#turnToSpool()
    for (;;) {
      const chunk = await this.#stream.take()
      if (chunk === undefined) return
      await this.#append(chunk)
    }
  }

  /** What is kept as far as that goes, then from the stream, which goes only forward. */
  async readOnward(offset: number, target: Uint8Array, name: string): Promise<void> {
    const count = Math.max(0, Math.min(target.length, this.#size - offset))
    if (count > 0) await this.image.read(offset, target.subarray(0, count))
    if (count === target.length) return
    await this.#stream.skip(offset + count - this.#stream.offset, name)
    await this.#stream.read(target.subarray(count), name)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#spool?.close()
    this.#memory = createMemoryImage()
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (this.#spool === undefined) await this.#memory.write(this.#size, bytes)
    else await this.#spool.append(bytes, this.#context.signal)
    this.#size += bytes.length
  }

  async #turnToSpool(): Promise<void> {
    if (this.#spool !== undefined) return
    const spool = await this.#context.openSpool()
    this.#spool = spool
    const memory = this.#memory
    for (let offset = 0; offset < memory.size; offset += pieceSize) {
      const piece = new Uint8Array(Math.min(pieceSize, memory.size - offset))
      await memory.read(offset, piece)
      await spool.append(piece, this.#context.signal)
    }
    this.#memory = createMemoryImage()
  }
}
