// A VHD layer at rest: dynamic, or differencing on a parent. Blocks go into the file in the order
// in which they are first written; all metadata is written when it is sealed, by seal-layer.ts.

import { strict as assert } from 'node:assert'
import { rangeWithin, throwIfAborted } from '../../disk/disk.ts'
import { settleAll } from '../../disk/settle.ts'
import type { WritableImage } from '../../image/image.ts'
import { MiB, SECTOR_SIZE } from '../../units.ts'
import type { LayerOptions, LayerWriter } from '../format.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import { blockLayoutOf, offsetOf } from './block-table.ts'
import { BLOCK_SIZE, MAXIMUM_VHD_SIZE } from './constants.ts'
import type { LayerBitmaps } from './layer-bitmaps.ts'
import { createLayerBitmaps } from './layer-bitmaps.ts'
import type { BlockPart, LayerBlocks } from './layer-blocks.ts'
import { createLayerBlocks, partsOf, sectorsOf } from './layer-blocks.ts'
import { requireVhdSize } from './maximum-size.ts'
import { writtenLocators } from './parent-locator.ts'
import { writeMetadata } from './seal-layer.ts'
import { placeStructures } from './written-layout.ts'

/** How many blocks are worked on at once in a long stretch of zeros. */
const blocksAtOnce = 32

const zeros = new Uint8Array(MiB)

/** See ImageFormat.createLayer. */
export const createVhdLayer = async (
  file: WritableImage,
  options: LayerOptions,
): Promise<LayerWriter> => {
  const { size, uuid, parent, keepsZeros = false } = options
  requireVhdSize(size, uuid)
  requireVirtualSize('Cannot create a vhd layer', size, MAXIMUM_VHD_SIZE)
  const place = placeStructures({ size, hasParent: parent !== undefined })
  const locators =
    parent === undefined ? [] : writtenLocators(parent.fileName, place.locatorOffsets)
  const blocks = createLayerBlocks(place.blockCount, place.firstBlock)
  const bitmaps = createLayerBitmaps({
    file,
    size,
    layout: blockLayoutOf(BLOCK_SIZE),
    offsetOf: (block) => offsetOf(blocks.entries, block),
  })
  const content: LayerContent = { file, blocks, bitmaps, hasParent: parent !== undefined }
  /** What is absent reads as zeros already. */
  const isWhole = parent === undefined && !keepsZeros
  let isSealed = false

  const requireRange = (offset: number, length: number): void => {
    assert(!isSealed, 'The layer is sealed')
    rangeWithin(size, { offset, length })
    if (offset % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0) return
    throw new RangeError(`Write of ${length} bytes at ${offset} is not in whole sectors`)
  }

  return {
    size,
    async write(offset, source, signal) {
      throwIfAborted(signal)
      requireRange(offset, source.length)
      const steps = Array.from(partsOf(offset, source.length), (part) => {
        const start = part.block * BLOCK_SIZE + part.inside - offset
        return writePart(content, part, source.subarray(start, start + part.length), signal)
      })
      await settleAll(steps)
    },
    async zero(offset, length, signal) {
      throwIfAborted(signal)
      requireRange(offset, length)
      let steps: Promise<void>[] = []
      for (const part of partsOf(offset, length)) {
        if (isWhole && blocks.isAbsent(part.block)) continue
        steps.push(zeroPart(content, part, signal))
        if (steps.length < blocksAtOnce) continue
        await settleAll(steps)
        steps = []
      }
      await settleAll(steps)
    },
    async seal(endSize = size) {
      assert(!isSealed, 'The layer is sealed')
      isSealed = true
      await bitmaps.flush()
      const { fullBlocks } = bitmaps
      const sealed = { ...options, size: endSize }
      await writeMetadata({ file, options: sealed, place, locators, blocks, fullBlocks })
    },
  }
}

interface LayerContent {
  readonly file: WritableImage
  readonly blocks: LayerBlocks
  readonly bitmaps: LayerBitmaps
  readonly hasParent: boolean
}

// Several parts of one block may be under way at once: until the first await, all is decided.
const ensurePlaced = ({ blocks, bitmaps }: LayerContent, block: number): void => {
  if (!blocks.isAbsent(block)) return
  blocks.add(block)
  bitmaps.add(block)
}

const writePart = async (
  content: LayerContent,
  part: BlockPart,
  source: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const { file, blocks, bitmaps } = content
  ensurePlaced(content, part.block)
  await file.write(blocks.dataOffset(part.block) + part.inside, source, signal)
  await bitmaps.change(part.block, { ...sectorsOf(part), isSet: true })
}

const zeroPart = async (
  content: LayerContent,
  part: BlockPart,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const { file, blocks, bitmaps, hasParent } = content
  const { block } = part
  const range = sectorsOf(part)
  ensurePlaced(content, block)
  // What was never written is a hole of the file and reads as zeros.
  for (const { from, to, isSet } of await bitmaps.runs(block, range.from, range.to)) {
    if (!isSet) continue
    const start = blocks.dataOffset(block) + from * SECTOR_SIZE
    await writeZeros(file, start, (to - from) * SECTOR_SIZE, signal)
  }
  // On a parent a set bit hides what is there; without one a clear bit is zeros just as well.
  await bitmaps.change(block, { ...range, isSet: hasParent })
}

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
