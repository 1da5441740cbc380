// A block map as XenAPI's list of changed blocks: base64 of one bit for 64 KiB. Made piece by piece
// while it is read: of 16 TiB the text has 43 MB, and no more of it than one piece is ever held
// here.

import { alignUp, KiB, unitsFor } from '../units.ts'
import type { BlockMap } from './block-map.ts'
import { LongText } from './long-text.ts'

/** What one bit stands for. */
const blockSize = 64 * KiB

/**
 * Bytes of the bitmap that are made at once; a multiple of 3, so that no padding stands between
 * pieces.
 */
const pieceSize = 48 * KiB

/** Of a map in memory. */
const bytesPerRun = 9

/**
 * The blocks in which `map` holds anything. The first block is the most significant bit of the
 * first byte; zeros follow the last one, until the bitmap is a multiple of 4 bytes long.
 */
export const encodeChangedBlocks = (map: BlockMap): LongText => {
  const length = alignUp(unitsFor(unitsFor(map.size, blockSize), 8), 4)
  return new LongText(4 * Math.ceil(length / 3), map.runCount * bytesPerRun, function* pieces() {
    for (let start = 0; start < length; start += pieceSize) {
      const piece = Buffer.alloc(Math.min(pieceSize, length - start))
      markBlocks(piece, start * 8, map)
      yield piece.toString('base64')
    }
  })
}

/** Sets the bits of a piece whose first one stands for the block `first`. */
const markBlocks = (piece: Uint8Array, first: number, map: BlockMap): void => {
  const offset = first * blockSize
  const length = Math.min(piece.length * 8 * blockSize, map.size - offset)
  if (length <= 0) return
  for (const run of map.runs({ offset, length })) {
    if (run.kind === 'hole') continue
    const from = Math.floor(run.offset / blockSize) - first
    setBits(piece, from, unitsFor(run.offset + run.length, blockSize) - first)
  }
}

const setBits = (bytes: Uint8Array, from: number, to: number): void => {
  const [firstByte, lastByte] = [from >>> 3, (to - 1) >>> 3]
  const firstBits = 0xff >>> (from % 8)
  const lastBits = (0xff << (7 - ((to - 1) % 8))) & 0xff
  if (firstByte === lastByte) {
    bytes[firstByte]! |= firstBits & lastBits
    return
  }
  bytes[firstByte]! |= firstBits
  bytes.fill(0xff, firstByte + 1, lastByte)
  bytes[lastByte]! |= lastBits
}
