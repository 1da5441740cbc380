// The footer at the end of a stream: the sign that all of the image came.

import { cutShort, imageError } from '../../errors.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { hex } from '../../image/binary.ts'
import { KiB } from '../../units.ts'
import { FOOTER_SIZE, SHORT_FOOTER_SIZE } from './constants.ts'
import type { Footer } from './footer.ts'
import { closingFooterSize, firstBytes, tryParseFooter } from './footer.ts'

/**
 * Reads the closing footer: right after the last block, or where there is a gap (an image from a
 * block device) at the end of the stream.
 * @param first the copy at the start, which it must agree with
 * @throws AppError VDI_IO_ERROR where the stream ends before, IMPORT_ERROR_GENERIC where it says something else
 */
export const requireClosingFooter = async (
  stream: ForwardReader,
  first: Footer,
  streamLength: number | undefined,
  what: string,
): Promise<void> => {
  const offset = stream.offset
  const sector = new Uint8Array(FOOTER_SIZE)
  const count = await stream.readUpTo(sector)
  requireWhole(count, offset, streamLength, what)
  const footer = tryParseFooter(sector) ?? (await readLast(stream, sector, streamLength, what))
  if (footer.uuid !== first.uuid || footer.currentSize !== first.currentSize) {
    throw imageError(
      what,
      `the closing footer is of ${footer.uuid} with ${footer.currentSize} bytes, the first of ${first.uuid} with ${first.currentSize} bytes`,
    )
  }
}

const requireWhole = (
  count: number,
  offset: number,
  streamLength: number | undefined,
  what: string,
): void => {
  if (count === FOOTER_SIZE) return
  const end = offset + count
  const isShort = count === SHORT_FOOTER_SIZE && (streamLength ?? end) === end
  if (!isShort) {
    throw cutShort(what, `the stream ends after ${end} bytes, expected the footer at ${offset}`)
  }
}

/** The footer in the last bytes of the stream, `sector` being the latest that were read. */
const readLast = async (
  stream: ForwardReader,
  sector: Uint8Array,
  streamLength: number | undefined,
  what: string,
): Promise<Footer> => {
  if (streamLength !== undefined) {
    const size = closingFooterSize(streamLength)
    const footerOffset = streamLength - size
    if (footerOffset < stream.offset) return parseClosing(sector, stream.offset, what)
    await stream.skip(footerOffset - stream.offset, `${what}: closing footer`)
    const closing = new Uint8Array(FOOTER_SIZE)
    await stream.read(closing.subarray(0, size), `${what}: closing footer`)
    return parseClosing(closing, stream.offset, what)
  }
  const last = await readTail(stream, sector)
  const closing = new Uint8Array(FOOTER_SIZE)
  const size = closingFooterSize(stream.offset)
  closing.set(last.subarray(last.length - size))
  return parseClosing(closing, stream.offset, what)
}

/** Goes to the end of the stream; the last 512 bytes, `before` being those read until now. */
const readTail = async (stream: ForwardReader, before: Uint8Array): Promise<Uint8Array> => {
  const window = new Uint8Array(64 * KiB)
  window.set(before)
  for (;;) {
    const count = await stream.readUpTo(window.subarray(FOOTER_SIZE))
    const last = window.slice(count, count + FOOTER_SIZE)
    if (count < window.length - FOOTER_SIZE) return last
    window.set(last)
  }
}

const parseClosing = (bytes: Uint8Array, end: number, what: string): Footer => {
  const footer = tryParseFooter(bytes)
  if (footer !== undefined) return footer
  throw imageError(
    what,
    `no footer closes the image: the last 512 bytes before ${hex(end)} start with ${firstBytes(bytes)} and are no valid footer`,
  )
}
