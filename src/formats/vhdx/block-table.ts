// The block table (BAT) of a VHDX: for each block of the disk its state and its place, and after
// those of each bitmap the bitmap's own. Five bytes of memory a block.

import { imageError, PastEndError } from '../../errors.ts'
import { hex, viewOf } from '../../image/binary.ts'
import { KiB, MiB, unitsFor } from '../../units.ts'
import { BITMAP_LENGTH, blockStates, SECTORS_OF_BITMAP } from './constants.ts'
import type { Metadata } from './metadata.ts'
import type { Region } from './regions.ts'

const pieceSize = 64 * KiB

/** Places, in MiB: more than any file has, so that they sort together with a block's number. */
const placeLimit = 2 ** 29
const radix = 2 ** 24

export interface BlockTable {
  readonly states: Uint8Array
  /** Of each block that is in the file, in MiB. */
  readonly places: Uint32Array
  /** Of the bitmap of each group of blocks, in MiB; 0 where there is none. */
  readonly bitmapPlaces: Uint32Array
}

/** How many blocks share a bitmap. */
export const blocksPerBitmap = ({ logicalSectorSize, blockSize }: Metadata): number =>
  (SECTORS_OF_BITMAP * logicalSectorSize) / blockSize

/** Entries of the table: the last bitmap's is there in differencing images only. */
export const entriesOf = (metadata: Metadata): number => {
  const blocks = unitsFor(metadata.virtualSize, metadata.blockSize)
  const ratio = blocksPerBitmap(metadata)
  if (metadata.parent !== undefined) return unitsFor(blocks, ratio) * (ratio + 1)
  return blocks + Math.floor((blocks - 1) / ratio)
}

export const isStored = (state: number): boolean =>
  state === blockStates.fullyPresent || state === blockStates.partiallyPresent

/** Where in the file a block begins. */
export const offsetOf = ({ places }: BlockTable, block: number): number => places[block]! * MiB

/**
 * @param read fills `target` with what is at `offset` in the region
 * @throws AppError IMPORT_ERROR_GENERIC for states that are not known, or mean nothing in this
 *   image
 */
export const readBlockTable = async (
  metadata: Metadata,
  region: Region,
  read: (offset: number, target: Uint8Array) => Promise<void>,
  what: string,
): Promise<BlockTable> => {
  const entries = entriesOf(metadata)
  if (entries * 8 > region.length) {
    const found = `the block table of ${region.length} bytes has no room`
    throw imageError(what, `${found} for the ${entries} entries that the disk needs`)
  }
  const ratio = blocksPerBitmap(metadata)
  const count = unitsFor(metadata.virtualSize, metadata.blockSize)
  const table: BlockTable = {
    states: new Uint8Array(count),
    places: new Uint32Array(count),
    bitmapPlaces: new Uint32Array(unitsFor(count, ratio)),
  }
  const piece = new Uint8Array(Math.min(entries * 8, pieceSize))
  const view = viewOf(piece)
  for (let first = 0; first < entries; first += piece.length / 8) {
    const length = Math.min(piece.length, (entries - first) * 8)
    await read(first * 8, piece.subarray(0, length))
    for (let at = 0; at < length; at += 8) {
      const index = first + at / 8
      const entry = readEntry(view, at)
      const group = Math.floor(index / (ratio + 1))
      if (index % (ratio + 1) === ratio) {
        if (group < table.bitmapPlaces.length) setBitmap(table, group, entry, what)
      } else if (index - group < count) setBlock(table, index - group, entry, metadata, what)
    }
  }
  return table
}

const knownStates = new Set<number>(Object.values(blockStates))

interface Entry {
  readonly state: number
  /** In MiB. */
  readonly place: number
}

const readEntry = (view: DataView, at: number): Entry => {
  const low = view.getUint32(at, true)
  return { state: low & 7, place: view.getUint32(at + 4, true) * 2 ** 12 + (low >>> 20) }
}

const setBitmap = (
  table: BlockTable,
  group: number,
  { state, place }: Entry,
  what: string,
): void => {
  if (state === blockStates.notPresent) return
  if (state !== blockStates.fullyPresent) {
    throw imageError(what, `the bitmap ${group} has the state ${state}, must be 0 or 6`)
  }
  table.bitmapPlaces[group] = requirePlace(`bitmap ${group}`, place, what)
}

const setBlock = (
  table: BlockTable,
  block: number,
  { state, place }: Entry,
  { parent }: Metadata,
  what: string,
): void => {
  if (!knownStates.has(state)) {
    throw imageError(what, `block ${block} has the state ${state}, which is not known`)
  }
  if (state === blockStates.partiallyPresent && parent === undefined) {
    const found = `block ${block} is there in part`
    throw imageError(what, `${found}, which only a differencing image can have`)
  }
  table.states[block] = state
  if (isStored(state)) table.places[block] = requirePlace(`block ${block}`, place, what)
}

const requirePlace = (name: string, place: number, what: string): number => {
  if (place === 0) throw imageError(what, `${name} is at 0x0, where the header is`)
  if (place < placeLimit) return place
  throw new PastEndError(what, `${name} is at ${place} MiB, which is past the end of any image`)
}

/**
 * The blocks that are in the file, in its order.
 * @param end where the image ends
 * @param reserved what blocks must not meet
 * @throws AppError IMPORT_ERROR_GENERIC for one that leads past the end, or where something else is
 */
export const blocksInFileOrder = (
  table: BlockTable,
  { virtualSize, blockSize }: Metadata,
  { end, reserved }: { readonly end: number; readonly reserved: readonly Region[] },
  what: string,
): Uint32Array => {
  const blocks = sortByPlace(table)
  for (let at = 1; at < blocks.length; at += 1) {
    const [before, block] = [blocks[at - 1]!, blocks[at]!]
    if (offsetOf(table, block) - offsetOf(table, before) >= blockSize) continue
    const found = `block ${block} at ${hex(offsetOf(table, block))}`
    throw imageError(what, `${found} overlaps block ${before} at ${hex(offsetOf(table, before))}`)
  }
  for (const region of reserved) {
    const found = blockOn(table, blocks, blockSize, region)
    if (found === undefined) continue
    const place = hex(offsetOf(table, found))
    throw imageError(what, `block ${found} at ${place} overlaps the ${region.name}`)
  }
  const last = blocks.at(-1)
  if (last === undefined) return blocks
  // What lies after the end of the disk may be lacking.
  const length = Math.min(blockSize, virtualSize - last * blockSize)
  if (offsetOf(table, last) + length > end) {
    const found = `block ${last} of ${length} bytes at ${hex(offsetOf(table, last))}`
    throw new PastEndError(what, `${found} points past the end of the image, ${hex(end)}`)
  }
  return blocks
}

const sortByPlace = ({ states, places }: BlockTable): Uint32Array => {
  const count = states.reduce((sum, state) => sum + Number(isStored(state)), 0)
  // Sorting numbers without a comparison function is native; each place carries its block along.
  const keys = new Float64Array(count)
  let filled = 0
  for (let block = 0; block < states.length; block += 1) {
    if (!isStored(states[block]!)) continue
    keys[filled] = places[block]! * radix + block
    filled += 1
  }
  keys.sort()
  return Uint32Array.from(keys, (key) => key % radix)
}

/** A block that meets `region`. */
const blockOn = (
  table: BlockTable,
  blocks: Uint32Array,
  blockSize: number,
  { offset, length }: Region,
): number | undefined => {
  let low = 0
  let high = blocks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (offsetOf(table, blocks[middle]!) + blockSize <= offset) low = middle + 1
    else high = middle
  }
  const block = blocks[low]
  return block !== undefined && offsetOf(table, block) < offset + length ? block : undefined
}

/** The bitmaps that are in the file, as stretches of it. */
export const bitmapRegions = ({ bitmapPlaces }: BlockTable): Region[] =>
  Array.from(bitmapPlaces)
    .map((place, group) => ({
      name: `bitmap ${group}`,
      offset: place * MiB,
      length: BITMAP_LENGTH,
    }))
    .filter(({ offset }) => offset > 0)
