// The block map: for each block of the disk its index among the blocks of the file. Read, checked
// and asked here by open and decode alike; 4 bytes an entry, no object for a block.

import { imageError, PastEndError } from '../../errors.ts'
import { hex, viewOf } from '../../image/binary.ts'
import { KiB, unitsFor } from '../../units.ts'
import { ZERO_ENTRY } from './constants.ts'
import type { Header } from './header.ts'

const pieceSize = 64 * KiB

/**
 * Reads the entries of the blocks that the disk has, in pieces: memory grows with what has come,
 * not with what the header says.
 * @param read fills `target` with what is `offset` bytes into the map
 */
export const readMap = async (
  { virtualSize, blockSize }: Header,
  read: (offset: number, target: Uint8Array) => Promise<void>,
): Promise<Uint32Array> => {
  const count = unitsFor(virtualSize, blockSize)
  const piece = new Uint8Array(Math.min(count * 4, pieceSize))
  const view = viewOf(piece)
  let entries = new Uint32Array(piece.length / 4)
  for (let first = 0; first < count; first += piece.length / 4) {
    const length = Math.min(piece.length, (count - first) * 4)
    await read(first * 4, piece.subarray(0, length))
    if (first + length / 4 > entries.length) {
      const larger = new Uint32Array(Math.min(count, entries.length * 2))
      larger.set(entries)
      entries = larger
    }
    for (let at = 0; at < length; at += 4) entries[first + at / 4] = view.getUint32(at, true)
  }
  return entries
}

/** Whether the block's data is in the file. */
export const isStored = (entry: number): boolean => entry < ZERO_ENTRY

/** Where in the file the data of the block of this index begins. */
export const offsetOf = ({ dataOffset, blockSize }: Header, index: number): number =>
  dataOffset + index * blockSize

/** More than any index or number of blocks. */
const radix = 2 ** 25

/**
 * The blocks that are in the file, in its order.
 * @param end where the last block must have ended
 * @throws AppError IMPORT_ERROR_GENERIC for an entry that leads nowhere, or where another block is
 */
export const blocksInFileOrder = (
  header: Header,
  entries: Uint32Array,
  end: number,
  what: string,
): Uint32Array => {
  const blocks = sortByIndex(storedBlocks(header, entries, what), entries)
  for (let at = 1; at < blocks.length; at += 1) {
    const [before, block] = [blocks[at - 1]!, blocks[at]!]
    const index = entries[block]!
    if (index !== entries[before]!) continue
    const place = hex(offsetOf(header, index))
    throw imageError(what, `blocks ${before} and ${block} are both at ${place}, index ${index}`)
  }
  const last = blocks.at(-1)
  if (last === undefined) return blocks
  const offset = offsetOf(header, entries[last]!)
  if (offset + header.blockSize > end) {
    const found = `block ${last} of ${header.blockSize} bytes at ${hex(offset)}`
    throw new PastEndError(what, `${found} points past the end of the image, ${hex(end)}`)
  }
  return blocks
}

/** Ascending. */
const storedBlocks = (header: Header, entries: Uint32Array, what: string): Uint32Array => {
  const { allocatedCount } = header
  const blocks = new Uint32Array(entries.length)
  let count = 0
  for (let block = 0; block < entries.length; block += 1) {
    const index = entries[block]!
    if (!isStored(index)) continue
    if (index >= allocatedCount) {
      throw imageError(
        what,
        `block ${block} has the index ${index}, only ${allocatedCount} blocks are allocated`,
      )
    }
    blocks[count] = block
    count += 1
  }
  return blocks.subarray(0, count)
}

/** In place. Blocks of one index are then neighbours. */
const sortByIndex = (blocks: Uint32Array, entries: Uint32Array): Uint32Array => {
  const isAscending = blocks.every(
    (block, at) => at === 0 || entries[blocks[at - 1]!]! < entries[block]!,
  )
  if (isAscending) return blocks
  // Sorting numbers without a comparison function is native; each carries its block along.
  const keys = Float64Array.from(blocks, (block) => entries[block]! * radix + block)
  keys.sort()
  return blocks.map((_, at) => keys[at]! % radix)
}
