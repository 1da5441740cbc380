// Compressed grains of a stream, several under way at once; what they hold comes out in the order
// in which they came. Memory: for each under way its bytes and its content.

import type { DiskWrite } from '../../disk/disk.ts'
import type { DecodeContext } from '../format.ts'
import { WriteBatch } from '../write-batch.ts'
import type { Decompressed, Decompressor } from '../decompression/decompressor.ts'
import { createDecompressor } from '../decompression/decompressor.ts'
import { inflateWith } from './grain-content.ts'
import type { Header } from './header.ts'

interface Inflated extends Decompressed {
  readonly grain: number
}

export class InflatingGrains {
  readonly #header: Header
  readonly #batch: WriteBatch
  readonly #decompressor: Decompressor
  readonly #underWay: Promise<Inflated>[] = []

  constructor(header: Header, { buffers, signal }: Pick<DecodeContext, 'buffers' | 'signal'>) {
    this.#header = header
    this.#decompressor = createDecompressor('inflate', header.grainSize)
    this.#batch = new WriteBatch(buffers, signal)
  }

  /** @param name of the grain, for messages */
  add(grain: number, bytes: Uint8Array, name: string): void {
    const inflating = inflateWith(this.#decompressor, bytes, this.#lengthOf(grain), name).then(
      (decompressed) => ({ ...decompressed, grain }),
    )
    // Waited for in its turn; until then it must not count as unhandled.
    inflating.catch(() => {})
    this.#underWay.push(inflating)
  }

  /** The oldest, as long as more are under way than may be. */
  async *writes(keep = this.#decompressor.atOnce): AsyncGenerator<DiskWrite, void, undefined> {
    if (keep < this.#decompressor.atOnce) this.#decompressor.flush()
    while (this.#underWay.length > keep) {
      const { grain, content, release } = await this.#underWay.shift()!
      const fill = async (target: Uint8Array, offset: number): Promise<void> =>
        target.set(content.subarray(offset, offset + target.length))
      yield* this.#batch.add(grain * this.#header.grainSize, this.#lengthOf(grain), fill)
      release()
    }
  }

  /** All that are left. */
  async *finish(): AsyncGenerator<DiskWrite, void, undefined> {
    yield* this.writes(0)
    yield* this.#batch.finish()
  }

  /** Gives up what was not yielded. Idempotent. */
  close(): void {
    this.#batch.close()
  }

  #lengthOf(grain: number): number {
    const { grainSize, virtualSize } = this.#header
    return Math.min(grainSize, virtualSize - grain * grainSize)
  }
}
