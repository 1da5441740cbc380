// Where the blocks of a layer that is being written are in its file: each gets its place, after all
// others, when it is first written to.

import { alignUp, KiB, SECTOR_SIZE } from '../../units.ts'
import { blockLayoutOf, offsetOf } from './block-table.ts'
import { BLOCK_SIZE, UNUSED_ENTRY } from './constants.ts'

/** Data begins at multiples of this, as memory pages and most file systems have it. */
const alignment = 4 * KiB

const { bitmapSize, storedSize } = blockLayoutOf(BLOCK_SIZE)

/** From one block to the next. */
const stride = alignUp(storedSize, alignment)

export interface LayerBlocks {
  /** The table. */
  readonly entries: Uint32Array
  /** Where the last block ends. */
  readonly end: number
  isAbsent(block: number): boolean
  /** Gives an absent block its place. */
  add(block: number): void
  /** Where a block's data begins. */
  dataOffset(block: number): number
}

/** @param firstBlock where blocks may begin */
export const createLayerBlocks = (blockCount: number, firstBlock: number): LayerBlocks => {
  const entries = new Uint32Array(blockCount).fill(UNUSED_ENTRY)
  let nextBlock = alignUp(firstBlock + bitmapSize, alignment) - bitmapSize
  let end = firstBlock
  return {
    entries,
    get end() {
      return end
    },
    isAbsent: (block) => entries[block] === UNUSED_ENTRY,
    add(block) {
      entries[block] = nextBlock / SECTOR_SIZE
      end = nextBlock + storedSize
      nextBlock += stride
    },
    dataOffset: (block) => offsetOf(entries, block) + bitmapSize,
  }
}

/** What a range takes of one block. */
export interface BlockPart {
  readonly block: number
  /** Offset in the block. */
  readonly inside: number
  readonly length: number
}

export function* partsOf(offset: number, length: number): Generator<BlockPart> {
  for (let at = offset; at < offset + length;) {
    const inside = at % BLOCK_SIZE
    const part = Math.min(BLOCK_SIZE - inside, offset + length - at)
    yield { block: Math.floor(at / BLOCK_SIZE), inside, length: part }
    at += part
  }
}

/** The sectors of the block that a part takes. */
export const sectorsOf = ({ inside, length }: BlockPart): { from: number; to: number } => ({
  from: inside / SECTOR_SIZE,
  to: (inside + length) / SECTOR_SIZE,
})
