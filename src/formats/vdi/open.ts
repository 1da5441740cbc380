// Image → Disk for VDI files at rest: dynamic and fixed ones are both read by their map. Memory is
// the map.

import type { Disk } from '../../disk/disk.ts'
import type { Extent } from '../../disk/extents.ts'
import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { formatBytes } from '../../units.ts'
import { createUnitDisk } from '../unit-disk.ts'
import { blocksInFileOrder, isStored, offsetOf, readMap } from './block-map.ts'
import { HEADER_SIZE, ZERO_ENTRY } from './constants.ts'
import type { Header } from './header.ts'
import { parseHeader } from './header.ts'

const what = 'Cannot open vdi'

/** See ImageFormat.open. */
export const openVdi = async (image: Image): Promise<Disk> => {
  const header = await readHeader(image, what)
  const mapEnd = header.mapOffset + header.blockCount * 4
  if (mapEnd > image.size) {
    const found = `the map of ${header.blockCount} entries at ${hex(header.mapOffset)}`
    throw new PastEndError(what, `${found} points past the end of the image, ${hex(image.size)}`)
  }
  const entries = await readMap(header, (offset, target) =>
    image.read(header.mapOffset + offset, target),
  )
  blocksInFileOrder(header, entries, image.size, what)
  return createMappedDisk(image, header, entries)
}

/** The checked header of an image at rest. */
export const readHeader = async (image: Image, what: string): Promise<Header> => {
  if (image.size < HEADER_SIZE) {
    throw imageError(what, `the image of ${formatBytes(image.size)} has no room for a header`)
  }
  const bytes = new Uint8Array(HEADER_SIZE)
  await image.read(0, bytes)
  return parseHeader(bytes, what)
}

const createMappedDisk = (image: Image, header: Header, entries: Uint32Array): Disk => {
  const { virtualSize: size, blockSize } = header
  return createUnitDisk({
    size,
    unitSize: blockSize,
    extentsBetween: (from, to) => blockExtents(header, entries, from, to),
    async readFrom(block, inside, target, signal) {
      const part = target.subarray(0, blockSize - inside)
      const index = entries[block]!
      if (isStored(index)) await image.read(offsetOf(header, index) + inside, part, signal)
      else part.fill(0)
      return part.length
    },
    close: () => image.close(),
  })
}

/** One for each of the blocks `from` up to (not including) `to`. */
function* blockExtents(
  { virtualSize, blockSize }: Header,
  entries: Uint32Array,
  from: number,
  to: number,
): Generator<Extent, void, undefined> {
  for (let block = from; block < to; block += 1) {
    const offset = block * blockSize
    const entry = entries[block]!
    const unstored = entry === ZERO_ENTRY ? 'zero' : 'hole'
    yield {
      offset,
      length: Math.min(blockSize, virtualSize - offset),
      kind: isStored(entry) ? 'data' : unstored,
    }
  }
}
