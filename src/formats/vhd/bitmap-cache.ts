// Sector bitmaps of a file at rest, read when first asked for. The latest stay in memory up to a
// fixed number of bytes; of full ones only that they are full is kept.

import type { Image } from '../../image/image.ts'
import { MiB } from '../../units.ts'
import { bitWeight } from './batmap.ts'
import type { BlockLayout } from './block-table.ts'
import { offsetOf } from './block-table.ts'
import { UNUSED_ENTRY } from './constants.ts'
import { fillBits, isFull, sectorsInside } from './sector-bitmap.ts'

const maximumBytes = MiB

interface BitmapSource {
  readonly image: Image
  readonly size: number
  readonly entries: Uint32Array
  readonly layout: BlockLayout
  readonly batmap: Uint8Array
}

export interface BitmapCache {
  /** `full`: all sectors are known to be written, by the batmap or by a bitmap read before. */
  stateOf(block: number): 'absent' | 'full' | 'mixed'
  /** The bitmap of a block that is in the file. */
  get(block: number): Promise<Uint8Array>
}

export const createBitmapCache = (source: BitmapSource): BitmapCache => {
  const { image, size, entries, layout, batmap } = source
  const maximumCount = Math.max(1, Math.floor(maximumBytes / layout.bitmapSize))
  // Ordered by last use, oldest first. Promises, so that a bitmap is read once for all who wait.
  const kept = new Map<number, Promise<Uint8Array>>()
  const full = new Uint8Array(Math.ceil(entries.length / 8))
  full.set(batmap)

  const load = async (block: number): Promise<Uint8Array> => {
    const bitmap = new Uint8Array(layout.bitmapSize)
    await image.read(offsetOf(entries, block), bitmap)
    if (isFull(bitmap, sectorsInside(block, layout.blockSize, size))) {
      fillBits(full, { from: block, to: block + 1, isSet: true })
      kept.delete(block)
    }
    return bitmap
  }

  return {
    stateOf(block) {
      if (entries[block] === UNUSED_ENTRY) return 'absent'
      return (full[block >>> 3]! & bitWeight(block)) === 0 ? 'mixed' : 'full'
    },
    get(block) {
      const known = kept.get(block)
      if (known !== undefined) {
        kept.delete(block)
        kept.set(block, known)
        return known
      }
      const loading = load(block)
      kept.set(block, loading)
      loading.catch(() => kept.delete(block))
      if (kept.size > maximumCount) {
        for (const oldest of kept.keys()) {
          kept.delete(oldest)
          break
        }
      }
      return loading
    },
  }
}
