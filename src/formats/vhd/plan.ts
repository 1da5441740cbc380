// Disk → Image for VHD, in the order of XenServer's exporter, which goes through any forward-only
// reader:
//
//   0            copy of the footer
//   512          header
//   1536         parent locator W2ru; zeros in a full image
//   2048         table: 4 bytes a block of 2 MiB
//   …            batmap: its header, its bits
//   …            parent locators W2ku, MacX (only in a delta)
//   …            blocks that hold data, ascending: sector bitmap (a one for each sector that the
//                disk has), 2 MiB of data
//   size - 512   footer
//
// A fixed image is the disk's bytes, then the footer. Table, batmap and blocks are worked out from
// the runs of present blocks when they are read.

import type { Disk } from '../../disk/disk.ts'
import type { UnitRuns } from '../../disk/unit-runs.ts'
import { collectUnitRuns } from '../../disk/unit-runs.ts'
import { AppError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import type { Region } from '../../image/layout-image.ts'
import { bytesRegion, createLayoutImage } from '../../image/layout-image.ts'
import type { ImageIdentity, PlanOptions } from '../format.ts'
import { blockLayoutOf } from './block-table.ts'
import { BLOCK_SIZE, diskTypes } from './constants.ts'
import { encodeFooter } from './footer.ts'
import { encodeHeader } from './header.ts'
import { requireVhdSize } from './maximum-size.ts'
import { writtenLocators } from './parent-locator.ts'
import { batmapRegion, batmapSum, tableRegion } from './run-tables.ts'
import { encodeBatmapHeader } from './batmap.ts'
import { fillBits, sectorsInside } from './sector-bitmap.ts'
import { placeStructures } from './written-layout.ts'

/** See ImageFormat.plan. */
export const planVhd = async (
  disk: Disk,
  identity: ImageIdentity,
  { subformat = 'dynamic', delta = 'compatible' }: PlanOptions = {},
): Promise<Image> => {
  requireVhdSize(disk.size, identity.uuid, 'use qcow2 or raw')
  if (delta === 'compact') {
    const reason = 'a VHD delta is always whole blocks of 2 MiB, ask for qcow2'
    throw new AppError('VALUE_NOT_SUPPORTED', ['delta', delta, reason])
  }
  if (subformat === 'dynamic') return planDynamic(disk, identity)
  if (identity.base !== undefined) {
    const reason = 'a fixed VHD is a whole disk, a delta needs the dynamic one'
    throw new AppError('VALUE_NOT_SUPPORTED', ['subformat', subformat, reason])
  }
  return planFixed(disk, identity)
}

const planFixed = (disk: Disk, { uuid, timestamp }: ImageIdentity): Image => {
  const { size } = disk
  const data: Region = {
    length: size,
    fill: (offset, target, signal) => disk.read(offset, target, signal),
  }
  const footer = encodeFooter({ diskType: diskTypes.fixed, size, uuid, timestamp })
  return createLayoutImage([data, bytesRegion(footer)], () => disk.close())
}

const planDynamic = async (disk: Disk, identity: ImageIdentity): Promise<Image> => {
  const { size } = disk
  const { uuid, timestamp, base } = identity
  // In a delta, zeros are content: the base may hold something else there.
  const runs = await collectUnitRuns(
    disk,
    BLOCK_SIZE,
    base === undefined ? ['data'] : ['data', 'zero'],
  )
  const place = placeStructures({ size, hasParent: base !== undefined })
  const fileName = `${base?.uuid}.vhd`
  const locators = base === undefined ? [] : writtenLocators(fileName, place.locatorOffsets)
  const diskType = base === undefined ? diskTypes.dynamic : diskTypes.differencing
  const footer = encodeFooter({ diskType, size, uuid, timestamp })
  const header = encodeHeader({
    tableOffset: place.tableOffset,
    tableEntries: place.blockCount,
    ...(base && { parent: { ...base, fileName, locators: locators.map(({ entry }) => entry) } }),
  })
  const [first, ...others] = locators.map(({ bytes }) => bytesRegion(bytes))
  const { tableOffset, batmapOffset, batmapBytes } = place
  const headerEnd = footer.length + header.length
  return createLayoutImage(
    [
      bytesRegion(footer),
      bytesRegion(header),
      first ?? bytesRegion(new Uint8Array(tableOffset - headerEnd)),
      tableRegion(runs, { length: batmapOffset - tableOffset, firstBlock: place.firstBlock }),
      bytesRegion(encodeBatmapHeader(batmapOffset, batmapBytes, batmapSum(runs, size))),
      batmapRegion(runs, { length: batmapBytes, virtualSize: size }),
      ...others,
      blocksRegion(disk, runs),
      bytesRegion(footer),
    ],
    () => disk.close(),
  )
}

/**
 * The present blocks one after the other, each complete: what lies after the disk's end is zeros.
 */
const blocksRegion = (disk: Disk, runs: UnitRuns): Region => {
  const { bitmapSize, storedSize } = blockLayoutOf(BLOCK_SIZE)
  return {
    length: runs.count * storedSize,
    async fill(offset, target, signal) {
      for (let done = 0; done < target.length;) {
        const rank = Math.floor((offset + done) / storedSize)
        const inside = offset + done - rank * storedSize
        const isBitmap = inside < bitmapSize
        const left = (isBitmap ? bitmapSize : storedSize) - inside
        const part = target.subarray(done, done + left)
        const block = runs.runAt(rank).unit
        if (isBitmap) fillBitmap(part, inside, sectorsInside(block, BLOCK_SIZE, disk.size))
        else {
          const diskOffset = block * BLOCK_SIZE + inside - bitmapSize
          const held = Math.max(0, Math.min(part.length, disk.size - diskOffset))
          part.fill(0, held)
          if (held > 0) await disk.read(diskOffset, part.subarray(0, held), signal)
        }
        done += part.length
      }
    },
  }
}

/**
 * The part from byte `offset` on of the bitmap of a block whose first `sectors` sectors are on the
 * disk.
 */
const fillBitmap = (target: Uint8Array, offset: number, sectors: number): void => {
  const marked = Math.max(0, Math.min(target.length * 8, sectors - offset * 8))
  fillBits(target.fill(0), { from: 0, to: marked, isSet: true })
}
