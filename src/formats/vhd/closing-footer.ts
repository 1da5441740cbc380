// The footer at the end of a stream: the sign that all of the image came.

import type { AppError } from '../../errors.ts'
import { cutShort, imageError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { FOOTER_SIZE, SHORT_FOOTER_SIZE } from './constants.ts'
import type { Footer } from './footer.ts'
import { firstBytes, refusePoisoned, tryParseFooter } from './footer.ts'

/**
 * Reads sectors up to the closing footer. It stands right after the last block, or after a gap: the
 * rest of the metadata where there are no blocks, unused space in an image from a block device.
 * @param first the copy at the start, which it must agree with
 * @throws AppError VDI_IO_ERROR where the stream ends before, IMPORT_ERROR_GENERIC where something
 *   else is in its place
 */
export const requireClosingFooter = async (
  stream: ForwardReader,
  first: Footer,
  streamLength: number | undefined,
  what: string,
): Promise<void> => {
  const expectedAt = stream.offset
  let last = new Uint8Array(FOOTER_SIZE)
  for (;;) {
    const sector = new Uint8Array(FOOTER_SIZE)
    const count = await stream.readUpTo(sector)
    const isAtEnd = stream.offset === (streamLength ?? stream.offset)
    const footer =
      count === FOOTER_SIZE || (count === SHORT_FOOTER_SIZE && isAtEnd)
        ? tryParseFooter(sector)
        : undefined
    if (footer !== undefined) {
      requireSame(footer, first, what)
      return
    }
    if (count > 0) last = sector
    if (count === FOOTER_SIZE) continue
    refusePoisoned(last, what)
    const isWhole = isAtEnd && stream.offset > expectedAt + SHORT_FOOTER_SIZE
    throw isWhole
      ? notClosed(last, stream.offset, what)
      : cutShort(
          what,
          `the stream ends after ${stream.offset} bytes, expected the footer at ${expectedAt}`,
        )
  }
}

const requireSame = (footer: Footer, first: Footer, what: string): void => {
  if (footer.uuid === first.uuid && footer.currentSize === first.currentSize) return
  throw imageError(
    what,
    `the closing footer is of ${footer.uuid} with ${footer.currentSize} bytes, the first of ${first.uuid} with ${first.currentSize} bytes`,
  )
}

const notClosed = (sector: Uint8Array, end: number, what: string): AppError =>
  imageError(
    what,
    `no footer closes the image: the last sector before ${hex(end)} starts with ${firstBytes(sector)} and is no valid footer`,
  )
