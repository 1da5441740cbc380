// Compressed grains of a stream, several under way at once; what they hold comes out in the order
// in which they came. Memory: for each under way its bytes and its content.

import type { DiskWrite } from '../../disk/disk.ts'
import type { DecodeContext } from '../format.ts'
import { WriteBatch } from '../write-batch.ts'
import { grainsAtOnce, inflateGrain } from './grain-content.ts'
import type { Header } from './header.ts'

interface Inflated {
  readonly grain: number
  readonly content: Uint8Array
}

export class InflatingGrains {
  readonly #header: Header
  readonly #batch: WriteBatch
  readonly #underWay: Promise<Inflated>[] = []

  constructor(header: Header, { buffers, signal }: Pick<DecodeContext, 'buffers' | 'signal'>) {
    this.#header = header
    this.#batch = new WriteBatch(buffers, signal)
  }

  /** @param name of the grain, for messages */
  add(grain: number, bytes: Uint8Array, name: string): void {
    const { grainSize } = this.#header
    const inflating = inflateGrain(bytes, { grainSize, least: this.#lengthOf(grain) }, name).then(
      (content) => ({ grain, content }),
    )
    // Waited for in its turn; until then it must not count as unhandled.
    inflating.catch(() => {})
    this.#underWay.push(inflating)
  }

  /** The oldest, as long as more are under way than may be. */
  async *writes(
    keep = grainsAtOnce(this.#header.grainSize),
  ): AsyncGenerator<DiskWrite, void, undefined> {
    while (this.#underWay.length > keep) {
      const { grain, content } = await this.#underWay.shift()!
      const fill = async (target: Uint8Array, offset: number): Promise<void> =>
        target.set(content.subarray(offset, offset + target.length))
      yield* this.#batch.add(grain * this.#header.grainSize, this.#lengthOf(grain), fill)
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
