// Image → Disk for raw files. Holes are those that the storage tells of.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin } from '../../disk/disk.ts'
import type { Image } from '../../image/image.ts'
import { MAXIMUM_DISK_SIZE } from '../../units.ts'
import { requireVirtualSize } from '../virtual-size.ts'

/** See ImageFormat.open. A storage that cannot tell holes makes the whole disk data. */
export const openRaw = async (image: Image): Promise<Disk> => {
  const { size } = image
  requireVirtualSize('Cannot open raw', size, MAXIMUM_DISK_SIZE)
  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      if (image.extents !== undefined) yield* image.extents(asked)
      else if (asked.length > 0) yield { ...asked, kind: 'data' }
    },
    read: (offset, target, signal) => image.read(offset, target, signal),
    close: () => image.close(),
  }
}
