// A VHD layer at rest: dynamic, or differencing on a parent. Blocks go into the file in the order in
// which they are first written; all metadata is written when it is sealed, by seal-layer.ts.

import { strict as assert } from 'node:assert'
import { rangeWithin, throwIfAborted } from '../../disk/disk.ts'
import { settleAll } from '../../disk/settle.ts'
import type { WritableImage } from '../../image/image.ts'
import { alignUp, KiB, MiB, SECTOR_SIZE } from '../../units.ts'
import type { LayerOptions, LayerWriter } from '../format.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import { blockLayoutOf, offsetOf } from './block-table.ts'
import { BLOCK_SIZE, MAXIMUM_VHD_SIZE, UNUSED_ENTRY } from './constants.ts'
import { createLayerBitmaps } from './layer-bitmaps.ts'
import { requireVhdSize } from './maximum-size.ts'
import { writtenLocators } from './parent-locator.ts'
import { writeMetadata } from './seal-layer.ts'
import { placeStructures } from './written-layout.ts'

/** Data begins at multiples of this, as memory pages and most file systems have it. */
const alignment = 4 * KiB

const { bitmapSize, storedSize } = blockLayoutOf(BLOCK_SIZE)

/** From one block to the next. */
const stride = alignUp(storedSize, alignment)

/** How many blocks are worked on at once in a long stretch of zeros. */
const blocksAtOnce = 32

const zeros = new Uint8Array(MiB)

/** See ImageFormat.createLayer. */
export const createVhdLayer = async (
  file: WritableImage,
  options: LayerOptions,
): Promise<LayerWriter> => {
  const { size, uuid, parent } = options
  requireVhdSize(size, uuid)
  requireVirtualSize('Cannot create a vhd layer', size, MAXIMUM_VHD_SIZE)
  const place = placeStructures({ size, hasParent: parent !== undefined })
  const locators =
    parent === undefined ? [] : writtenLocators(parent.fileName, place.locatorOffsets)
  const entries = new Uint32Array(place.blockCount).fill(UNUSED_ENTRY)
  const bitmaps = createLayerBitmaps({
    file,
    size,
    layout: blockLayoutOf(BLOCK_SIZE),
    offsetOf: (block) => offsetOf(entries, block),
  })
  let nextBlock = alignUp(place.firstBlock + bitmapSize, alignment) - bitmapSize
  let end = place.firstBlock
  let isSealed = false

  const isAbsent = (block: number): boolean => entries[block] === UNUSED_ENTRY
  /** Where the block's data is in the file, after making room for it where there is none. */
  const placeBlock = (block: number): number => {
    if (isAbsent(block)) {
      entries[block] = nextBlock / SECTOR_SIZE
      bitmaps.add(block)
      end = nextBlock + storedSize
      nextBlock += stride
    }
    return offsetOf(entries, block) + bitmapSize
  }

  const requireRange = (offset: number, length: number): void => {
    assert(!isSealed, 'The layer is sealed')
    rangeWithin(size, { offset, length })
    if (offset % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0) return
    throw new RangeError(`Write of ${length} bytes at ${offset} is not in whole sectors`)
  }

  const zeroPart = async (part: BlockPart, signal: AbortSignal | undefined): Promise<void> => {
    const { block } = part
    const range = sectorsOf(part)
    const isNew = isAbsent(block)
    const dataOffset = placeBlock(block)
    const runs = isNew ? [] : await bitmaps.runs(block, range.from, range.to)
    // What was never written is a hole of the file and reads as zeros.
    for (const { from, to, isSet } of runs) {
      if (!isSet) continue
      const start = dataOffset + from * SECTOR_SIZE
      await writeZeros(file, start, (to - from) * SECTOR_SIZE, signal)
    }
    // On a parent a set bit hides what is there; without one a clear bit is zeros just as well.
    await bitmaps.change(block, { ...range, isSet: parent !== undefined })
  }

  return {
    size,
    async write(offset, source, signal) {
      throwIfAborted(signal)
      requireRange(offset, source.length)
      const steps = Array.from(partsOf(offset, source.length), async (part) => {
        const dataOffset = placeBlock(part.block) + part.inside
        const start = part.block * BLOCK_SIZE + part.inside - offset
        await file.write(dataOffset, source.subarray(start, start + part.length), signal)
        await bitmaps.change(part.block, { ...sectorsOf(part), isSet: true })
      })
      await settleAll(steps)
    },
    async zero(offset, length, signal) {
      throwIfAborted(signal)
      requireRange(offset, length)
      let steps: Promise<void>[] = []
      for (const part of partsOf(offset, length)) {
        if (parent === undefined && isAbsent(part.block)) continue
        steps.push(zeroPart(part, signal))
        if (steps.length < blocksAtOnce) continue
        await settleAll(steps)
        steps = []
      }
      await settleAll(steps)
    },
    async seal() {
      assert(!isSealed, 'The layer is sealed')
      isSealed = true
      await bitmaps.flush()
      const { fullBlocks } = bitmaps
      await writeMetadata({ file, options, place, locators, entries, fullBlocks, end })
    },
  }
}

/** What a range takes of one block. */
interface BlockPart {
  readonly block: number
  /** Offset in the block. */
  readonly inside: number
  readonly length: number
}

function* partsOf(offset: number, length: number): Generator<BlockPart> {
  for (let at = offset; at < offset + length;) {
    const inside = at % BLOCK_SIZE
    const part = Math.min(BLOCK_SIZE - inside, offset + length - at)
    yield { block: Math.floor(at / BLOCK_SIZE), inside, length: part }
    at += part
  }
}

const sectorsOf = ({ inside, length }: BlockPart): { from: number; to: number } => ({
  from: inside / SECTOR_SIZE,
  to: (inside + length) / SECTOR_SIZE,
})

const writeZeros = async (
  file: WritableImage,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<void> => {
  for (let done = 0; done < length; done += zeros.length) {
    await file.write(offset + done, zeros.subarray(0, length - done), signal)
  }
}
