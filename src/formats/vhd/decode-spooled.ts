// Stream → writes for fixed VHDs whose size nobody tells: the whole stream waits in a spool until
// its last bytes, the footer, have come. decode-fixed.ts calls it where there is neither a length
// nor a VDI.

import type { DiskWrite } from '../../disk/disk.ts'
import { isZero } from '../../disk/zero.ts'
import { imageError } from '../../errors.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import type { Spool } from '../../image/spool.ts'
import { alignDown, formatBytes, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import { FOOTER_SIZE, MAXIMUM_VHD_SIZE } from './constants.ts'
import { requireFixedFooter } from './fixed-footer.ts'
import { closingFooterSize } from './footer.ts'

const what = 'Cannot decode vhd'

/** @param first the 512 bytes that were read: the disk's first sector */
export const decodeSpooled = async (
  stream: ForwardReader,
  first: Uint8Array,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const spool = await context.openSpool()
  try {
    const length = await fillSpool(spool, stream, first, context)
    const footer = new Uint8Array(FOOTER_SIZE)
    const footerSize = closingFooterSize(length)
    const size = length - footerSize
    await spool.read(size, footer.subarray(0, footerSize))
    requireFixedFooter(footer, size, first)
    requireVirtualSize(what, size, MAXIMUM_VHD_SIZE)
    return { virtualSize: size, isDelta: false, writes: () => readSpool(spool, size, context) }
  } catch (error) {
    await spool.close()
    throw error
  }
}

/** Keeps all of the stream; the number of bytes. */
const fillSpool = async (
  spool: Spool,
  stream: ForwardReader,
  first: Uint8Array,
  { buffers, signal }: DecodeContext,
): Promise<number> => {
  await spool.append(first, signal)
  let length = first.length
  for (;;) {
    const { bytes, release } = await buffers.take(signal)
    try {
      const count = await stream.readUpTo(bytes)
      const piece = bytes.subarray(0, count)
      if (isZero(piece)) spool.appendZeros(count)
      else await spool.append(piece, signal)
      length += count
      if (count < bytes.length) return length
    } finally {
      release()
    }
    if (length > MAXIMUM_VHD_SIZE + FOOTER_SIZE) {
      throw imageError(
        what,
        `${formatBytes(length)} came, a fixed VHD has at most ${formatBytes(MAXIMUM_VHD_SIZE)}`,
      )
    }
  }
}

async function* readSpool(
  spool: Spool,
  size: number,
  { buffers, signal }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  try {
    for (let offset = 0; offset < size; offset += pieceSize) {
      const { bytes, release } = await buffers.take(signal)
      const piece = bytes.subarray(0, Math.min(pieceSize, size - offset))
      await spool.read(offset, piece, signal).catch((error: unknown) => {
        release()
        throw error
      })
      yield { kind: 'data', offset, bytes: piece, release }
    }
  } finally {
    await spool.close()
  }
}
