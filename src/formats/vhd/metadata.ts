// What lies in a dynamic or differencing file beside its blocks, for open and decode to check
// alike.

import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { NamedRegion } from './block-table.ts'
import { tableSize } from './block-table.ts'
import { diskTypes, FOOTER_SIZE, HEADER_SIZE } from './constants.ts'
import type { Footer } from './footer.ts'
import type { Header } from './header.ts'
import { checkLocators } from './parent-locator.ts'

/**
 * `offset`, when `length` bytes from there lie between the copy of the footer and `end`.
 * @throws AppError IMPORT_ERROR_GENERIC where they do not
 */
export const requireInside = (
  name: string,
  offset: number | undefined,
  length: number,
  end: number,
  what: string,
): number => {
  if (offset === undefined)
    throw imageError(what, `the ${name}'s offset is all ones: there is none`)
  const found = `the ${name} of ${length} bytes at ${hex(offset)}`
  if (offset < FOOTER_SIZE) {
    const footer = `the copy of the footer, which ends at ${hex(FOOTER_SIZE)}`
    throw imageError(what, `${found} lies on ${footer}`)
  }
  // The content may end before the copy of the footer does: no range is named that could be none.
  if (offset + length > end) {
    const content = `the image, whose content ends at ${hex(end)}`
    throw new PastEndError(what, `${found} leaves ${content}`)
  }
  return offset
}

/**
 * The regions on which no block may lie.
 * @throws AppError IMPORT_ERROR_GENERIC where header and table overlap, or a parent locator leaves
 *   the image
 */
export const metadataRegions = (
  footer: Footer,
  header: Header,
  end: number,
  what: string,
): NamedRegion[] => {
  const headerOffset = footer.dataOffset ?? FOOTER_SIZE
  const tableBytes = tableSize(header.tableEntries)
  const regions: NamedRegion[] = [
    { name: 'copy of the footer', offset: 0, length: FOOTER_SIZE },
    { name: 'header', offset: headerOffset, length: HEADER_SIZE },
    { name: 'table', offset: header.tableOffset, length: tableBytes },
  ]
  if (
    header.tableOffset < headerOffset + HEADER_SIZE &&
    headerOffset < header.tableOffset + tableBytes
  ) {
    const found = `the table of ${tableBytes} bytes at ${hex(header.tableOffset)} overlaps the header at ${hex(headerOffset)}`
    throw imageError(what, found)
  }
  // Other images have none; what stands in their places is not looked at.
  if (footer.diskType !== diskTypes.differencing) return regions
  checkLocators(header.locators, end, what)
  for (const { offset, length } of header.locators) {
    if (length > 0) regions.push({ name: 'parent locator', offset, length })
  }
  return regions
}
