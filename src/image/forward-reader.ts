// Bytes that come once, in order, in chunks of any size: the body of an upload as decoders see it.

import { throwIfAborted } from '../disk/disk.ts'
import { AppError, cutShort } from '../errors.ts'

export interface ForwardReader {
  /** How many bytes have been taken so far. */
  readonly offset: number
  /**
   * Fills `target`. `what` names the structure for the message: `Cannot decode vhd: block 3`.
   * @throws AppError VDI_IO_ERROR where the stream ends or breaks before
   */
  read(target: Uint8Array, what: string): Promise<void>
  /**
   * Fills `target` as far as the stream goes; the number of bytes, less than asked only at its end.
   */
  readUpTo(target: Uint8Array): Promise<number>
  /**
   * The next `length` bytes, which stay to be read; fewer only where the stream ends before. To be
   * looked at at once: they are not the caller's.
   */
  peek(length: number): Promise<Uint8Array>
  /** Passes over `length` bytes; throws like read. */
  skip(length: number, what: string): Promise<void>
  /** True where no byte follows. Waits for the next chunk to know. */
  atEnd(): Promise<boolean>
  /** Passes over the rest of the stream; the number of bytes. */
  drain(): Promise<number>
  /**
   * What is at hand, at least a byte, which is the caller's then; undefined at the end.
   * @param limit the most that is taken, in bytes, above 0; default: all
   */
  take(limit?: number): Promise<Uint8Array | undefined>
}

/**
 * @param source chunks of any size; one that throws is a connection that broke
 * @param signal aborts waiting reads too
 */
export const createForwardReader = (
  source: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): ForwardReader => new StreamReader(source, signal)

class StreamReader implements ForwardReader {
  offset = 0
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  /** Ends the wait for the next chunk. */
  #interrupt: ((reason: unknown) => void) | undefined
  #chunk: Uint8Array = new Uint8Array(0)
  #start = 0
  #ended = false

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#chunks = source[Symbol.asyncIterator]()
    this.#signal = signal
    signal?.addEventListener('abort', () => this.#interrupt?.(signal.reason), { once: true })
  }

  async read(target: Uint8Array, what: string): Promise<void> {
    const start = this.offset
    const count = await this.readUpTo(target)
    if (count < target.length) this.#throwCut(start, target.length, what)
  }

  async readUpTo(target: Uint8Array): Promise<number> {
    let filled = 0
    while (filled < target.length && (await this.#more())) {
      const end = Math.min(this.#chunk.length, this.#start + target.length - filled)
      target.set(this.#chunk.subarray(this.#start, end), filled)
      filled += this.#consume(end)
    }
    return filled
  }

  async peek(length: number): Promise<Uint8Array> {
    await this.#more()
    while (this.#waiting < length && !this.#ended) {
      const next = await this.#nextChunk()
      if (next === undefined) this.#ended = true
      else {
        this.#chunk = Buffer.concat([this.#chunk.subarray(this.#start), next])
        this.#start = 0
      }
    }
    return this.#chunk.subarray(this.#start, this.#start + length)
  }

  async skip(length: number, what: string): Promise<void> {
    const start = this.offset
    const target = start + length
    while (this.offset < target && (await this.#more())) {
      this.#consume(Math.min(this.#chunk.length, this.#start + target - this.offset))
    }
    if (this.offset < target) this.#throwCut(start, length, what)
  }

  async atEnd(): Promise<boolean> {
    return !(await this.#more())
  }

  async drain(): Promise<number> {
    const start = this.offset
    while (await this.#more()) this.#consume(this.#chunk.length)
    return this.offset - start
  }

  async take(limit = Infinity): Promise<Uint8Array | undefined> {
    if (!(await this.#more())) return undefined
    const end = Math.min(this.#chunk.length, this.#start + limit)
    const taken = this.#chunk.subarray(this.#start, end)
    this.#consume(end)
    return taken
  }

  /** How many bytes of the current chunk are left. */
  get #waiting(): number {
    return this.#chunk.length - this.#start
  }

  /** Moves to `end` within the chunk; the number of bytes passed. */
  #consume(end: number): number {
    const count = end - this.#start
    this.#start = end
    this.offset += count
    return count
  }

  /** True where the current chunk has a byte left, after waiting for the next one if need be. */
  async #more(): Promise<boolean> {
    while (this.#start === this.#chunk.length) {
      if (this.#ended) return false
      const next = await this.#nextChunk()
      if (next === undefined) {
        this.#ended = true
        return false
      }
      this.#chunk = next
      this.#start = 0
    }
    return true
  }

  async #nextChunk(): Promise<Uint8Array | undefined> {
    throwIfAborted(this.#signal)
    try {
      const result = await new Promise<IteratorResult<Uint8Array, unknown>>((resolve, reject) => {
        this.#interrupt = reject
        this.#chunks.next().then(resolve, reject)
      })
      return result.done === true ? undefined : result.value
    } catch (error) {
      throwIfAborted(this.#signal)
      if (error instanceof AppError) throw error
      const found = `the connection broke after ${this.offset + this.#waiting} bytes`
      throw new AppError('VDI_IO_ERROR', [`Cannot read the upload: ${found}`], { cause: error })
    }
  }

  #throwCut(start: number, length: number, what: string): never {
    throw cutShort(
      what,
      `the stream ends after ${this.offset} bytes, expected ${length} bytes at ${start}`,
    )
  }
}
