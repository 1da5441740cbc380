// A raw layer at rest: bytes at their own offsets, zeros left as holes of the file.

import { createRangeSet } from '../../disk/range-set.ts'
import { AppError } from '../../errors.ts'
import type { WritableImage } from '../../image/image.ts'
import { MAXIMUM_DISK_SIZE, MiB } from '../../units.ts'
import type { LayerOptions, LayerWriter } from '../format.ts'
import { requireVirtualSize } from '../virtual-size.ts'

const zeros = new Uint8Array(MiB)

/**
 * See ImageFormat.createLayer. A raw file cannot say what it does not hold, so it has no parent.
 */
export const createRawLayer = async (
  file: WritableImage,
  { size, parent }: LayerOptions,
): Promise<LayerWriter> => {
  requireVirtualSize('Cannot create a raw layer', size, MAXIMUM_DISK_SIZE)
  if (parent !== undefined) {
    const reason = 'a raw layer cannot lie on a parent'
    throw new AppError('VALUE_NOT_SUPPORTED', ['image-format', 'raw', reason])
  }
  await file.truncate(size)
  const written = createRangeSet()
  return {
    size,
    async write(offset, source, signal) {
      written.add({ offset, length: source.length })
      await file.write(offset, source, signal)
    },
    async zero(offset, length, signal) {
      const stale = written.within({ offset, length })
      written.remove({ offset, length })
      for (const range of stale) {
        const end = range.offset + range.length
        for (let at = range.offset; at < end; at += zeros.length) {
          await file.write(at, zeros.subarray(0, Math.min(zeros.length, end - at)), signal)
        }
      }
    },
    async seal(endSize = size) {
      if (endSize < size) await file.truncate(endSize)
    },
  }
}
