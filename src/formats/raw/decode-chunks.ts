// Raw content in XenServer's own framing: offset, length and bytes, again and again, so that a
// sender can leave out what holds nothing. Comes with `chunked=true`; has nothing to do with HTTP's
// chunks.
//
//   ┌ u64 LE offset ┬ u32 LE length ┬ length bytes ┐ …  ┌ 12 zero bytes ┐
//   └───────────────┴───────────────┴──────────────┘    └──────────────┘

import { clipWrites } from '../../disk/clip-writes.ts'
import type { DiskWrite } from '../../disk/disk.ts'
import { createRangeSet } from '../../disk/range-set.ts'
import { AppError, imageError } from '../../errors.ts'
import { readUint64, viewOf } from '../../image/binary.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { formatBytes, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { MAXIMUM_ROUNDING } from '../virtual-size.ts'

const what = 'Cannot decode raw chunks'

/** Of each chunk. */
export const CHUNK_HEADER_LENGTH = 12

/**
 * See ImageFormat.decode. The virtual size is that of the VDI; what no chunk covers stays as it
 * was. Chunks come in any order and may not overlap. The last one may go past the end with zeros:
 * `vhd-tool` sends a sector too many. An end without a chunk before it is an end: a sender that
 * leaves out zeros has nothing to say of an empty disk.
 * @throws AppError INVALID_VALUE without a VDI; IMPORT_ERROR_GENERIC for a chunk that leaves the
 *   disk or is not made of sectors; VDI_IO_ERROR without the end
 */
export const decodeChunks = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const { diskSize } = context
  if (diskSize === undefined) {
    const message = 'Raw chunks need a VDI that tells its size, or size='
    throw new AppError('INVALID_VALUE', ['size', ''], { message })
  }
  return {
    virtualSize: diskSize,
    isDelta: true,
    writes: () => clipWrites(readChunks(stream, context, diskSize), diskSize),
  }
}

async function* readChunks(
  stream: ForwardReader,
  { buffers, signal }: DecodeContext,
  diskSize: number,
): AsyncGenerator<DiskWrite, void, undefined> {
  const written = createRangeSet()
  const header = new Uint8Array(CHUNK_HEADER_LENGTH)
  const view = viewOf(header)
  for (let index = 0; ; index += 1) {
    await stream.read(header, `${what}: the header of chunk ${index}`)
    const offset = readUint64(view, 0, `${what}: the offset of chunk ${index}`, true)
    const length = view.getUint32(8, true)
    if (length === 0) {
      if (offset === 0) return
      continue
    }
    requireFits(index, offset, length, diskSize)
    if (written.within({ offset, length }).length > 0) {
      const where = `${length} bytes at ${offset}`
      throw imageError(what, `chunk ${index}, ${where}, overlaps one that came before`)
    }
    written.add({ offset, length })
    for (let at = 0; at < length;) {
      const { bytes, release } = await buffers.take(signal)
      const piece = bytes.subarray(0, Math.min(bytes.length, length - at))
      await stream.read(piece, `${what}: chunk ${index}`)
      yield { kind: 'data', offset: offset + at, bytes: piece, release }
      at += piece.length
    }
  }
}

const requireFits = (index: number, offset: number, length: number, diskSize: number): void => {
  const chunk = `chunk ${index}, ${length} bytes at ${offset}`
  if (offset % SECTOR_SIZE !== 0 || length % SECTOR_SIZE !== 0) {
    throw imageError(what, `${chunk}, is not made of whole sectors of ${SECTOR_SIZE} bytes`)
  }
  // Zeros are let through: clipWrites looks.
  if (offset + length > diskSize + MAXIMUM_ROUNDING) {
    throw imageError(what, `${chunk}, goes past the end of the VDI's ${formatBytes(diskSize)}`)
  }
}
