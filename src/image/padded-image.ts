// A file that ends within a sector, as whole sectors: what is not there reads as zeros, which is
// how QEMU shows a raw file whose length is no multiple of 512.

import { rangeWithin } from '../disk/disk.ts'
import type { ByteRange, Extent } from '../disk/extents.ts'
import { clip, coalesce } from '../disk/extents.ts'
import { alignDown, alignUp, SECTOR_SIZE } from '../units.ts'
import type { Image } from './image.ts'

/** `image` itself where nothing is missing. Owns and closes it. */
export const padToSectors = (image: Image): Image => {
  const size = alignUp(image.size, SECTOR_SIZE)
  if (size === image.size) return image
  const present = image.size
  return {
    ...image,
    size,
    async read(offset, target, signal) {
      rangeWithin(size, { offset, length: target.length })
      const count = Math.max(0, Math.min(target.length, present - offset))
      if (count > 0) await image.read(offset, target.subarray(0, count), signal)
      target.fill(0, count)
    },
    ...(image.extents && {
      extents: (range) => paddedExtents(image, rangeWithin(size, range)),
    }),
  }
}

/** The last sector is data: a part of it is there. */
const paddedExtents = (image: Image, range: ByteRange): AsyncIterable<Extent> => {
  const lastSector = alignDown(image.size, SECTOR_SIZE)
  const before = clip(range, { offset: 0, length: lastSector })
  const rest = clip(range, { offset: lastSector, length: SECTOR_SIZE })
  async function* parts(): AsyncGenerator<Extent, void, undefined> {
    if (before !== undefined) yield* image.extents!(before)
    if (rest !== undefined) yield { ...rest, kind: 'data' }
  }
  return coalesce(parts())
}
