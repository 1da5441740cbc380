// The block allocation table: for each block of the disk the sector of the file where its bitmap
// and data lie. Held as 4 bytes an entry; nothing here makes an object for a block.

import { imageError, PastEndError } from '../../errors.ts'
import { hex, viewOf } from '../../image/binary.ts'
import { alignUp, KiB, SECTOR_SIZE } from '../../units.ts'
import { UNUSED_ENTRY } from './constants.ts'

/** A block in the file: its sector bitmap, filled up to whole sectors, then its data. */
export interface BlockLayout {
  /** Bytes of data. */
  readonly blockSize: number
  readonly bitmapSize: number
  /** Both. */
  readonly storedSize: number
}

export const blockLayoutOf = (blockSize: number): BlockLayout => {
  const bitmapSize = alignUp(blockSize / SECTOR_SIZE / 8, SECTOR_SIZE)
  return { blockSize, bitmapSize, storedSize: bitmapSize + blockSize }
}

/** Bytes of a table in the file: 4 an entry, filled up to whole sectors. */
export const tableSize = (entries: number): number => alignUp(entries * 4, SECTOR_SIZE)

const pieceSize = 64 * KiB

/**
 * Reads the first `count` entries, in pieces.
 * @param read fills `target` with what is `offset` bytes into the table
 */
export const readTable = async (
  count: number,
  read: (offset: number, target: Uint8Array) => Promise<void>,
): Promise<Uint32Array> => {
  const entries = new Uint32Array(count)
  const piece = new Uint8Array(Math.min(count * 4, pieceSize))
  const view = viewOf(piece)
  for (let first = 0; first < count; first += piece.length / 4) {
    const length = Math.min(piece.length, (count - first) * 4)
    await read(first * 4, piece.subarray(0, length))
    for (let at = 0; at < length; at += 4) entries[first + at / 4] = view.getUint32(at)
  }
  return entries
}

/** Two blocks whose sectors agree above this overlap, whatever the block size. */
const sectorsTogether = 1024

/** More than any number of entries. */
const blockRadix = 2 ** 23

/** The blocks that are in the file, in its order; such that overlap, in any. */
export const blocksInFileOrder = (entries: Uint32Array): Uint32Array => {
  const blocks = new Uint32Array(entries.length)
  let count = 0
  let last = -1
  let ascending = true
  for (let block = 0; block < entries.length; block += 1) {
    const sector = entries[block]!
    if (sector === UNUSED_ENTRY) continue
    blocks[count] = block
    count += 1
    ascending &&= sector > last
    last = sector
  }
  const used = blocks.subarray(0, count)
  if (ascending) return used
  // Sorting numbers without a comparison function is native; each carries its block along.
  const keys = Float64Array.from(
    used,
    (block) => Math.floor(entries[block]! / sectorsTogether) * blockRadix + block,
  )
  keys.sort()
  for (let index = 0; index < count; index += 1) used[index] = keys[index]! % blockRadix
  return used
}

/** A stretch of the file that is not blocks. */
export interface NamedRegion {
  readonly name: string
  readonly offset: number
  readonly length: number
}

interface TableCheck {
  readonly entries: Uint32Array
  /** The used blocks in the order of the file. */
  readonly blocks: Uint32Array
  readonly layout: BlockLayout
  /** Where no block may lie. */
  readonly metadata: readonly NamedRegion[]
  /** Where the last block must have ended. */
  readonly end: number
  readonly what: string
}

/**
 * @throws AppError IMPORT_ERROR_GENERIC naming a block that leaves the image or lies on something
 *   else
 */
export const checkTable = (check: TableCheck): void => {
  const { entries, blocks, layout, metadata, end, what } = check
  const sectors = layout.storedSize / SECTOR_SIZE
  for (let index = 1; index < blocks.length; index += 1) {
    const block = blocks[index]!
    const before = blocks[index - 1]!
    if (entries[block]! < entries[before]! + sectors) {
      throw imageError(
        what,
        `blocks ${before} and ${block}, ${layout.storedSize} bytes each, overlap at ${hexOffset(entries, before)} and ${hexOffset(entries, block)}`,
      )
    }
  }
  const last = blocks.at(-1)
  if (last !== undefined && offsetOf(entries, last) + layout.storedSize > end) {
    throw new PastEndError(
      what,
      `block ${last} of ${layout.storedSize} bytes at ${hexOffset(entries, last)} leaves the image, whose content ends at ${hex(end)}`,
    )
  }
  for (const region of metadata) {
    const block = findBlockOn(region, check)
    if (block === undefined) continue
    throw imageError(
      what,
      `block ${block} at ${hexOffset(entries, block)} overlaps the ${region.name}, ${region.length} bytes at ${hex(region.offset)}`,
    )
  }
}

/** A block that shares a byte with `region`; the blocks must not overlap each other. */
export const findBlockOn = (
  { offset, length }: NamedRegion,
  { entries, blocks, layout }: Pick<TableCheck, 'entries' | 'blocks' | 'layout'>,
): number | undefined => {
  // The first block that ends after the region's start is the only one that needs a look.
  let low = 0
  let high = blocks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (offsetOf(entries, blocks[middle]!) + layout.storedSize <= offset) low = middle + 1
    else high = middle
  }
  const block = blocks[low]
  const meets = block !== undefined && offsetOf(entries, block) < offset + length
  return meets && length > 0 ? block : undefined
}

/** Where in the file a used block's bitmap begins. */
export const offsetOf = (entries: Uint32Array, block: number): number =>
  entries[block]! * SECTOR_SIZE

const hexOffset = (entries: Uint32Array, block: number): string => hex(offsetOf(entries, block))
