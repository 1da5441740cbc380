// Image → Disk for VHD files at rest: finds the footer, checks all metadata, then hands over to a
// fixed or a dynamic disk.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin } from '../../disk/disk.ts'
import { imageError } from '../../errors.ts'
import type { Image } from '../../image/image.ts'
import { formatBytes } from '../../units.ts'
import { readBatmap } from './batmap.ts'
import {
  blockLayoutOf,
  blocksInFileOrder,
  checkTable,
  findBlockOn,
  readTable,
  tableSize,
} from './block-table.ts'
import { diskTypes, FOOTER_SIZE, HEADER_SIZE } from './constants.ts'
import { createDynamicDisk } from './dynamic-disk.ts'
import type { Footer } from './footer.ts'
import {
  closingFooterSize,
  parseFooter,
  refusePoisoned,
  tryParseFooter,
  virtualSizeOf,
} from './footer.ts'
import { parseHeader } from './header.ts'
import { metadataRegions, requireInside } from './metadata.ts'

const what = 'Cannot open vhd'

/** See ImageFormat.open. */
export const openVhd = async (image: Image): Promise<Disk> => {
  const { footer, end } = await findFooter(image, what)
  const size = virtualSizeOf(footer, what)
  if (footer.diskType === diskTypes.fixed) return openFixed(image, size, end)
  return openDynamic(image, footer, size, end)
}

interface FoundFooter {
  readonly footer: Footer
  /** Where the content before the closing footer ends. */
  readonly end: number
}

/** The closing footer, or where it is damaged the copy at the start. */
export const findFooter = async (image: Image, what: string): Promise<FoundFooter> => {
  const { size } = image
  const closingSize = closingFooterSize(size)
  if (size < closingSize) {
    throw imageError(what, `the image of ${formatBytes(size)} has no room for a footer`)
  }
  const closing = new Uint8Array(FOOTER_SIZE)
  await image.read(size - closingSize, closing.subarray(0, closingSize))
  const first = new Uint8Array(FOOTER_SIZE)
  if (size >= FOOTER_SIZE) await image.read(0, first)
  refusePoisoned(closing, what)
  const footer = tryParseFooter(closing)
  if (footer?.diskType !== diskTypes.fixed) refusePoisoned(first, what)
  if (footer !== undefined) return { footer, end: size - closingSize }

  const copy = tryParseFooter(first)
  // A fixed disk begins with the guest's bytes: what looks like a copy there is not one.
  if (copy !== undefined && copy.diskType !== diskTypes.fixed) return { footer: copy, end: size }
  return { footer: parseFooter(closing, what), end: size - closingSize }
}

const openFixed = (image: Image, size: number, end: number): Disk => {
  if (size > end) {
    throw imageError(
      what,
      `the fixed disk of ${formatBytes(size, end)} does not fit the ${formatBytes(end, size)} before the footer`,
    )
  }
  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      if (image.extents !== undefined) yield* image.extents(asked)
      else if (asked.length > 0) yield { ...asked, kind: 'data' }
    },
    async read(offset, target, signal) {
      rangeWithin(size, { offset, length: target.length })
      await image.read(offset, target, signal)
    },
    close: () => image.close(),
  }
}

const openDynamic = async (
  image: Image,
  footer: Footer,
  size: number,
  end: number,
): Promise<Disk> => {
  const headerOffset = requireInside('header', footer.dataOffset, HEADER_SIZE, end, what)
  const headerBytes = new Uint8Array(HEADER_SIZE)
  await image.read(headerOffset, headerBytes)
  const header = parseHeader(headerBytes, size, what)
  const layout = blockLayoutOf(header.blockSize)
  const tableBytes = tableSize(header.tableEntries)
  const tableOffset = requireInside('table', header.tableOffset, tableBytes, end, what)

  // Entries after those of the disk mean nothing: tables may have room to grow.
  const blockCount = Math.ceil(size / header.blockSize)
  const entries = await readTable(blockCount, (offset, target) =>
    image.read(tableOffset + offset, target),
  )
  const blocks = blocksInFileOrder(entries)
  const metadata = metadataRegions(footer, header, end, what)
  checkTable({ entries, blocks, layout, metadata, end, what })

  const found = await readBatmap(image, {
    footer,
    virtualSize: size,
    blocks: blockCount,
    offset: tableOffset + tableBytes,
    end,
  })
  const batmap =
    found !== undefined &&
    findBlockOn({ name: 'batmap', ...found }, { entries, blocks, layout }) === undefined
      ? found.bits
      : new Uint8Array(0)
  return createDynamicDisk({
    image,
    size,
    entries,
    layout,
    batmap,
    unwritten: footer.diskType === diskTypes.differencing ? 'hole' : 'zero',
  })
}
