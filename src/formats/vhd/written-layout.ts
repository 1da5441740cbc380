// Where the structures of a dynamic or differencing image go that we write: one place for exports
// and layers. The drawing is in plan.ts.

import { SECTOR_SIZE } from '../../units.ts'
import { batmapSize } from './batmap.ts'
import { tableSize } from './block-table.ts'
import { BLOCK_SIZE, FOOTER_SIZE, HEADER_SIZE } from './constants.ts'
import { LOCATOR_SPACE } from './parent-locator.ts'

export interface WrittenLayout {
  readonly blockCount: number
  readonly tableOffset: number
  /** Of the batmap's header; its bits follow. */
  readonly batmapOffset: number
  /** Of the bits. */
  readonly batmapBytes: number
  /** For W2ru, W2ku, MacX: readers take the table at 2048 for granted, so two go after it. */
  readonly locatorOffsets: readonly [number, number, number]
  /** Where blocks may begin. */
  readonly firstBlock: number
}

export const placeStructures = (disk: {
  readonly size: number
  readonly hasParent: boolean
}): WrittenLayout => {
  const blockCount = Math.ceil(disk.size / BLOCK_SIZE)
  const firstLocator = FOOTER_SIZE + HEADER_SIZE
  const tableOffset = firstLocator + LOCATOR_SPACE
  const batmapOffset = tableOffset + tableSize(blockCount)
  const batmapBytes = batmapSize(blockCount)
  const batmapEnd = batmapOffset + SECTOR_SIZE + batmapBytes
  return {
    blockCount,
    tableOffset,
    batmapOffset,
    batmapBytes,
    locatorOffsets: [firstLocator, batmapEnd, batmapEnd + LOCATOR_SPACE],
    firstBlock: disk.hasParent ? batmapEnd + 2 * LOCATOR_SPACE : batmapEnd,
  }
}
