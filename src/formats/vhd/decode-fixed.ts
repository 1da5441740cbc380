// Stream → writes for fixed VHDs: the disk's bytes, then the footer, which alone tells that it is a
// VHD at all. How large the disk is must be known from elsewhere before the first write, or all of
// it waits in a spool: see decode-spooled.ts.

import { clipWrites } from '../../disk/clip-writes.ts'
import type { DiskWrite } from '../../disk/disk.ts'
import { imageError } from '../../errors.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { alignDown, formatBytes, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { MAXIMUM_ROUNDING, requireVirtualSize } from '../virtual-size.ts'
import { FOOTER_SIZE, MAXIMUM_VHD_SIZE } from './constants.ts'
import { decodeSpooled } from './decode-spooled.ts'
import { requireFixedFooter } from './fixed-footer.ts'
import { closingFooterSize, firstBytes } from './footer.ts'

const what = 'Cannot decode vhd'

/**
 * @param first the 512 bytes that were read: the disk's first sector
 */
export const decodeFixed = async (
  stream: ForwardReader,
  first: Uint8Array,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const { streamLength, diskSize } = context
  if (streamLength !== undefined) {
    const virtualSize = announcedSize(streamLength, first)
    return {
      virtualSize,
      isDelta: false,
      writes: () => readAnnounced(stream, first, virtualSize, context),
    }
  }
  if (diskSize === undefined) return decodeSpooled(stream, first, context)
  requireVirtualSize(what, diskSize, MAXIMUM_VHD_SIZE)
  return {
    virtualSize: diskSize,
    isDelta: false,
    writes: () => clipWrites(readUnannounced(stream, first, diskSize, context), diskSize),
  }
}

/** All but the footer is the disk. */
const announcedSize = (streamLength: number, first: Uint8Array): number => {
  const size = streamLength - closingFooterSize(streamLength)
  if (size % SECTOR_SIZE !== 0 || size < SECTOR_SIZE) {
    throw imageError(
      what,
      `this is no VHD: it starts with ${firstBytes(first)}, no footer, and ${streamLength} bytes are not a fixed disk and a footer`,
    )
  }
  requireVirtualSize(what, size, MAXIMUM_VHD_SIZE)
  return size
}

async function* readAnnounced(
  stream: ForwardReader,
  first: Uint8Array,
  size: number,
  { buffers, signal, streamLength }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  for (let offset = 0; offset < size; offset += pieceSize) {
    const buffer = await buffers.take(signal)
    const bytes = buffer.bytes.subarray(0, Math.min(pieceSize, size - offset))
    // The first sector has been read already.
    const held = offset === 0 ? first.length : 0
    bytes.set(first.subarray(0, held))
    await stream.read(bytes.subarray(held), `${what}: fixed disk`).catch((error: unknown) => {
      buffer.release()
      throw error
    })
    yield { kind: 'data', offset, bytes, release: buffer.release }
  }
  const footer = new Uint8Array(FOOTER_SIZE)
  const footerSize = closingFooterSize(streamLength ?? 0)
  await stream.read(footer.subarray(0, footerSize), `${what}: closing footer`)
  requireFixedFooter(footer, size, first)
}

/** Holds back the last 512 bytes that came, until it is known whether more comes after them. */
async function* readUnannounced(
  stream: ForwardReader,
  first: Uint8Array,
  diskSize: number,
  { buffers, signal }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  let offset = 0
  let held = first
  for (let isEnd = false; !isEnd;) {
    const { bytes, release } = await buffers.take(signal)
    bytes.set(held)
    const count = await stream
      .readUpTo(bytes.subarray(FOOTER_SIZE, pieceSize))
      .catch((error: unknown) => {
        release()
        throw error
      })
    const end = FOOTER_SIZE + count
    isEnd = end < pieceSize
    const length = end - (isEnd ? closingFooterSize(offset + end) : FOOTER_SIZE)
    held = new Uint8Array(FOOTER_SIZE)
    held.set(bytes.subarray(length, end))
    if (offset + length > diskSize + MAXIMUM_ROUNDING) {
      release()
      const found = `${offset + end} bytes came and more may follow, the VDI has ${formatBytes(diskSize)}`
      throw imageError(what, found)
    }
    const whole = alignDown(length, SECTOR_SIZE)
    if (whole === 0) release()
    else yield { kind: 'data', offset, bytes: bytes.subarray(0, whole), release }
    offset += length
  }
  requireFixedFooter(held, offset, first)
}
