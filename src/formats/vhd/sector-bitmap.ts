// The bitmap before each block's data: a bit for each sector, most significant first, set where the
// sector is written.

import { SECTOR_SIZE } from '../../units.ts'

/** Neighbouring sectors whose bits agree. */
export interface BitRun {
  readonly from: number
  /** Not included. */
  readonly to: number
  readonly isSet: boolean
}

/** The runs of the bits `from` up to (not including) `to`, ascending. */
export function* bitRuns(bitmap: Uint8Array, from: number, to: number): Generator<BitRun> {
  for (let start = from; start < to;) {
    const isSet = bitAt(bitmap, start)
    const end = endOfRun(bitmap, start, to, isSet)
    yield { from: start, to: end, isSet }
    start = end
  }
}

const bitAt = (bitmap: Uint8Array, bit: number): boolean =>
  (bitmap[bit >>> 3]! & (0x80 >>> (bit & 7))) !== 0

/** Whole bytes at a time where they are uniform. */
const endOfRun = (bitmap: Uint8Array, start: number, to: number, isSet: boolean): number => {
  const uniform = isSet ? 0xff : 0
  let bit = start + 1
  while (bit < to) {
    if ((bit & 7) === 0 && bitmap[bit >>> 3] === uniform) bit += 8
    else if (bitAt(bitmap, bit) === isSet) bit += 1
    else return bit
  }
  return to
}

/** True where the first `count` bits are all set. */
export const isFull = (bitmap: Uint8Array, count: number): boolean =>
  count === 0 || (bitAt(bitmap, 0) && endOfRun(bitmap, 0, count, true) === count)

/** Sets the bits `from` up to (not including) `to`, or clears them. */
export const fillBits = (bitmap: Uint8Array, run: BitRun): void => {
  const { from, to, isSet } = run
  for (let bit = from; bit < to;) {
    if ((bit & 7) === 0 && to - bit >= 8) {
      const bytes = (to - bit) >>> 3
      bitmap.fill(isSet ? 0xff : 0, bit >>> 3, (bit >>> 3) + bytes)
      bit += bytes * 8
      continue
    }
    const mask = 0x80 >>> (bit & 7)
    const byte = bitmap[bit >>> 3]!
    bitmap[bit >>> 3] = isSet ? byte | mask : byte & ~mask
    bit += 1
  }
}

/** The sectors of block `block` that lie inside a disk of `size` bytes. */
export const sectorsInside = (block: number, blockSize: number, size: number): number =>
  Math.min(blockSize, size - block * blockSize) / SECTOR_SIZE
