// The metadata of a layer at rest, written when all its blocks are in the file.

import { viewOf } from '../../image/binary.ts'
import type { WritableImage } from '../../image/image.ts'
import { MiB, SECTOR_SIZE } from '../../units.ts'
import type { LayerOptions } from '../format.ts'
import { encodeBatmapHeader, markableBlocks } from './batmap.ts'
import { tableSize } from './block-table.ts'
import { diskTypes, FOOTER_SIZE } from './constants.ts'
import { encodeFooter } from './footer.ts'
import { encodeHeader } from './header.ts'
import type { LayerBlocks } from './layer-blocks.ts'
import type { WrittenLocator } from './parent-locator.ts'
import { fillBits } from './sector-bitmap.ts'
import type { WrittenLayout } from './written-layout.ts'

interface SealedContent {
  readonly file: WritableImage
  readonly options: LayerOptions
  readonly place: WrittenLayout
  readonly locators: readonly WrittenLocator[]
  readonly blocks: LayerBlocks
  readonly fullBlocks: Uint8Array
}

/** Writes everything but blocks and their bitmaps. */
export const writeMetadata = async (content: SealedContent): Promise<void> => {
  const { file, options, place, locators, blocks, fullBlocks } = content
  const { size, uuid, timestamp, parent } = options
  const { tableOffset, batmapOffset, batmapBytes } = place

  for (const { entry, bytes } of locators) await file.write(entry.offset, bytes)
  await writeTable(file, tableOffset, blocks.entries)

  const bits = new Uint8Array(batmapBytes)
  bits.set(fullBlocks)
  fillBits(bits, { from: markableBlocks(size), to: batmapBytes * 8, isSet: false })
  const sum = bits.reduce((total, byte) => total + byte, 0)
  await file.write(batmapOffset, encodeBatmapHeader(batmapOffset, batmapBytes, sum))
  await file.write(batmapOffset + SECTOR_SIZE, bits)

  const header = encodeHeader({
    tableOffset,
    tableEntries: place.blockCount,
    ...(parent && { parent: { ...parent, locators: locators.map(({ entry }) => entry) } }),
  })
  await file.write(FOOTER_SIZE, header)
  const diskType = parent === undefined ? diskTypes.dynamic : diskTypes.differencing
  const footer = encodeFooter({ diskType, size, uuid, timestamp })
  await file.write(blocks.end, footer)
  await file.write(0, footer)
}

/** In pieces; the padding after the last entry is all ones too. */
const writeTable = async (
  file: WritableImage,
  offset: number,
  entries: Uint32Array,
): Promise<void> => {
  const size = tableSize(entries.length)
  for (let at = 0; at < size; at += MiB) {
    const piece = new Uint8Array(Math.min(MiB, size - at)).fill(0xff)
    const view = viewOf(piece)
    const first = at / 4
    for (let index = 0; index < piece.length / 4 && first + index < entries.length; index += 1) {
      view.setUint32(index * 4, entries[first + index]!)
    }
    await file.write(offset + at, piece)
  }
}
