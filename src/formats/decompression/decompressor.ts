// Decompresses the pieces of one image, clusters or grains, in batches: the pieces that come after
// each other wait until they are enough for a thread to begin with. Buffers go to the thread and
// come back, again and again: new ones would cost more to free than it costs to fill them.

import { MiB } from '../../units.ts'
import type { Method } from './messages.ts'
import { runBatch } from './worker-pool.ts'

/** What the pieces of a batch may hold together, in bytes; at least one piece. */
const batchSize = MiB

/** What those that are under way may hold together; at least two batches. */
const windowSize = 3 * MiB

/** What a piece holds. */
export interface Decompressed {
  /** Valid until it is released. */
  readonly content: Uint8Array
  /** To be called once. */
  readonly release: () => void
}

export interface Decompressor {
  /**
   * How many pieces may be under way at once. Of more than these the oldest has begun.
   */
  readonly atOnce: number
  /**
   * Takes a piece; its bytes are the caller's again when this returns.
   * @returns at most `unitSize` bytes
   * @throws Error that says what is wrong with it
   */
  begin(bytes: Uint8Array): Promise<Decompressed>
  /** Begins with what waits for more: to be called before the last of them are waited for. */
  flush(): void
}

interface Piece {
  /** Of its bytes. */
  readonly length: number
  readonly resolve: (decompressed: Decompressed) => void
  readonly reject: (reason: unknown) => void
}

/** The buffers of a batch: the pieces one after the other, and what they hold. */
interface Buffers {
  bytes: Uint8Array<ArrayBuffer>
  content: Uint8Array<ArrayBuffer>
}

interface Growing extends Buffers {
  filled: number
  readonly pieces: Piece[]
}

/** @param unitSize no piece holds more, in bytes */
export const createDecompressor = (method: Method, unitSize: number): Decompressor => {
  const inBatch = Math.max(1, Math.floor(batchSize / unitSize))
  const free: Buffers[] = []
  let growing: Growing | undefined

  const flush = (): void => {
    if (growing !== undefined) void run(method, unitSize, growing, (buffers) => free.push(buffers))
    growing = undefined
  }
  /** The batch, with room for so many bytes. */
  const withRoom = (length: number): Growing => {
    if (growing !== undefined && growing.bytes.length - growing.filled < length) flush()
    if (growing !== undefined) return growing
    const buffers = free.pop() ?? {
      bytes: allocate(inBatch * unitSize),
      content: allocate(inBatch * unitSize),
    }
    // A piece that does not compress is longer than what it holds.
    if (buffers.bytes.length < length) buffers.bytes = allocate(length)
    growing = { ...buffers, filled: 0, pieces: [] }
    return growing
  }
  return {
    atOnce: Math.max(2 * inBatch, Math.floor(windowSize / unitSize)),
    begin: (bytes) =>
      new Promise((resolve, reject) => {
        const { length } = bytes
        const batch = withRoom(length)
        batch.bytes.set(bytes, batch.filled)
        batch.filled += length
        batch.pieces.push({ length, resolve, reject })
        if (batch.pieces.length >= inBatch) flush()
      }),
    flush,
  }
}

/** What is in it does not matter; nothing else lies in its ArrayBuffer. */
const allocate = (length: number): Uint8Array<ArrayBuffer> => Buffer.allocUnsafeSlow(length)

const run = async (
  method: Method,
  unitSize: number,
  { bytes, content, pieces }: Growing,
  giveBack: (buffers: Buffers) => void,
): Promise<void> => {
  const lengths = pieces.map(({ length }) => length)
  try {
    const done = await runBatch({ method, unitSize, bytes, lengths, content })
    let held = pieces.length
    const release = (): void => {
      held -= 1
      if (held === 0) giveBack({ bytes: done.bytes, content: done.content })
    }
    for (const [index, { resolve, reject }] of pieces.entries()) {
      const outcome = done.outcomes[index]!
      const start = index * unitSize
      if (typeof outcome === 'string') reject(new Error(outcome))
      else resolve({ content: done.content.subarray(start, start + outcome), release })
    }
  } catch (error) {
    for (const { reject } of pieces) reject(error)
  }
}
