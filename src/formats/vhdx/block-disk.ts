// The disk that the block table and the bitmaps of a VHDX describe.

import type { Disk } from '../../disk/disk.ts'
import type { Extent } from '../../disk/extents.ts'
import type { Image } from '../../image/image.ts'
import { createUnitDisk } from '../unit-disk.ts'
import { isStored, offsetOf } from './block-table.ts'
import { createBitmapReader } from './bitmaps.ts'
import { blockStates } from './constants.ts'
import type { Structure } from './structure.ts'

/** Owns and closes `image`. */
export const createBlockDisk = (image: Image, structure: Structure, what: string): Disk => {
  const { metadata, table } = structure
  const { virtualSize: size, blockSize } = metadata
  const bitmaps = createBitmapReader(image, structure, what)

  /** The extents of a block, up to the end of the disk. */
  async function* extentsOf(block: number): AsyncGenerator<Extent, void, undefined> {
    const offset = block * blockSize
    const length = Math.min(blockSize, size - offset)
    const state = table.states[block]!
    if (state === blockStates.partiallyPresent) {
      for (const { from, to, isSet } of await bitmaps.runsBetween(block, 0, length)) {
        yield { offset: offset + from, length: to - from, kind: isSet ? 'data' : 'hole' }
      }
      return
    }
    const unstored = state === blockStates.notPresent ? 'hole' : 'zero'
    yield { offset, length, kind: isStored(state) ? 'data' : unstored }
  }

  async function* extentsBetween(
    from: number,
    to: number,
  ): AsyncGenerator<Extent, void, undefined> {
    for (let block = from; block < to; block += 1) yield* extentsOf(block)
  }

  const readStored = async (
    block: number,
    inside: number,
    part: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    await image.read(offsetOf(table, block) + inside, part, signal)
    if (table.states[block] !== blockStates.partiallyPresent) return
    const end = inside + part.length
    for (const { from, to, isSet } of await bitmaps.runsBetween(block, inside, end)) {
      if (!isSet) part.fill(0, from - inside, to - inside)
    }
  }

  return createUnitDisk({
    size,
    unitSize: blockSize,
    extentsBetween,
    async readFrom(block, inside, target, signal) {
      const part = target.subarray(0, blockSize - inside)
      if (isStored(table.states[block]!)) await readStored(block, inside, part, signal)
      else part.fill(0)
      return part.length
    },
    close: () => image.close(),
  })
}
