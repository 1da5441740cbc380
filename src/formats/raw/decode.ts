// Stream → writes for raw. Every byte of the stream is the disk's; zeros are found further on, in
// disk/copy-writes.

import type { DiskWrite } from '../../disk/disk.ts'
import { isZero } from '../../disk/zero.ts'
import { AppError, cutShort, imageError } from '../../errors.ts'
import type { BufferPool } from '../../image/buffer-pool.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { alignUp, formatBytes, MAXIMUM_DISK_SIZE, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { recogniseEnd } from '../recognise.ts'
import { isRoundedUp, MAXIMUM_ROUNDING, requireVirtualSize } from '../virtual-size.ts'

const what = 'Cannot decode raw'

/**
 * See ImageFormat.decode. The virtual size is the length of the stream, rounded up to a sector as
 * qemu does; for a stream of unknown length it is that of the VDI, and nothing else tells that the
 * stream is whole: it may be shorter by what is rounding, or by anything where `mayBeShort`. With
 * `largestSize` instead of a VDI it is where the stream ends.
 */
export const decodeRaw = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const { streamLength, diskSize, largestSize } = context
  const length = streamLength ?? diskSize ?? largestSize
  if (length === undefined) {
    const message = 'A raw image of unknown length needs a VDI that tells its size, or size='
    throw new AppError('INVALID_VALUE', ['size', ''], { message })
  }
  const virtualSize = alignUp(length, SECTOR_SIZE)
  requireVirtualSize(what, virtualSize, MAXIMUM_DISK_SIZE)
  const isOpen = streamLength === undefined && diskSize === undefined
  let endSize = 0
  return {
    virtualSize,
    isDelta: false,
    ...(isOpen && { endSize: () => endSize }),
    async *writes() {
      const end = yield* readWrites(stream, context, length)
      endSize = alignUp(end, SECTOR_SIZE)
      if (isOpen) requireVirtualSize(what, endSize, MAXIMUM_DISK_SIZE)
      if (end < length) {
        if (!isOpen) requireMayEnd(end, length, context)
      } else if (streamLength === undefined) {
        await requirePaddingOnly(stream, context.buffers, length)
      }
    },
  }
}

/**
 * @throws AppError VDI_IO_ERROR unless a stream that ends after `end` of `length` bytes may be
 *   whole
 */
const requireMayEnd = (end: number, length: number, context: DecodeContext): void => {
  const found = `the stream ended after ${end} of ${length} bytes`
  if (context.streamLength !== undefined) throw cutShort(what, found)
  if (context.mayBeShort === true || isRoundedUp(end, length)) return
  const advice = 'to take a shorter image, say short=true or send a Content-Length'
  throw cutShort(what, `${found} that the VDI has; ${advice}`)
}

/** Reads up to `length` bytes; the number read. The last sector is filled up with zeros. */
async function* readWrites(
  stream: ForwardReader,
  { buffers, signal }: DecodeContext,
  length: number,
): AsyncGenerator<DiskWrite, number, undefined> {
  let offset = 0
  while (offset < length) {
    const { bytes, release } = await buffers.take(signal)
    const count = await stream.readUpTo(bytes.subarray(0, Math.min(bytes.length, length - offset)))
    const padded = alignUp(count, SECTOR_SIZE)
    bytes.fill(0, count, padded)
    if (count === 0) release()
    else yield { kind: 'data', offset, bytes: bytes.subarray(0, padded), release }
    offset += count
    if (count < Math.min(bytes.length, length - offset + count)) break
  }
  return offset
}

/** After the last byte of the VDI: nothing more, or a little padding of zeros. */
const requirePaddingOnly = async (
  stream: ForwardReader,
  buffers: BufferPool,
  diskSize: number,
): Promise<void> => {
  const { bytes, release } = await buffers.take()
  let padding = 0
  for (;;) {
    const count = await stream.readUpTo(bytes)
    padding += count
    if (!isZero(bytes.subarray(0, count)) || padding > MAXIMUM_ROUNDING) {
      const isFirst = padding === count
      throw tooLong(isFirst ? bytes.subarray(0, Math.min(count, SECTOR_SIZE)) : undefined, diskSize)
    }
    if (count < bytes.length) break
  }
  release()
}

/** @param next what follows at once */
const tooLong = (next: Uint8Array | undefined, diskSize: number): AppError => {
  const form = next && recogniseEnd(next, diskSize + next.length)
  return form === undefined
    ? imageError(what, `the stream goes on after the ${formatBytes(diskSize)} that it may have`)
    : imageError(what, `this is ${form.name}: say format=${form.format}`)
}
