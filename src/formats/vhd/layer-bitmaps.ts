// Sector bitmaps of a layer that is being written. The latest used stay in memory; others lie in the
// file, where they belong in the end anyway. Which blocks are full is known of all.

import type { WritableImage } from '../../image/image.ts'
import { MiB } from '../../units.ts'
import type { BlockLayout } from './block-table.ts'
import type { BitRun } from './sector-bitmap.ts'
import { bitRuns, fillBits, isFull, sectorsInside } from './sector-bitmap.ts'

const maximumBytes = MiB

interface Bitmap {
  readonly bits: Uint8Array
  /** Differs from what the file holds. */
  isDirty: boolean
  /** On its way to the file: one save at a time, so that the latest bits are the last written. */
  isSaving: boolean
}

interface BitmapFile {
  readonly file: WritableImage
  /** Virtual size in bytes. */
  readonly size: number
  readonly layout: BlockLayout
  /** Where in the file the bitmap of a block lies. */
  readonly offsetOf: (block: number) => number
}

export interface LayerBitmaps {
  /** A bit for each block, set where all its sectors are written. */
  readonly fullBlocks: Uint8Array
  /** Begins the bitmap of a block that is new in the file: all clear. */
  add(block: number): void
  /** The runs of the sectors `from` up to (not including) `to`, as they are now. */
  runs(block: number, from: number, to: number): Promise<BitRun[]>
  /** Sets or clears the bits of a run. Returns when memory is back within its bound. */
  change(block: number, run: BitRun): Promise<void>
  /** Writes all that is only in memory. Nothing else may be under way. */
  flush(): Promise<void>
}

export const createLayerBitmaps = ({ file, size, layout, offsetOf }: BitmapFile): LayerBitmaps => {
  const maximumCount = Math.floor(maximumBytes / layout.bitmapSize)
  // Ordered by last use, oldest first.
  const kept = new Map<number, Bitmap>()
  const loads = new Map<number, Promise<void>>()
  const saves = new Set<Promise<void>>()
  const fullBlocks = new Uint8Array(Math.ceil(size / layout.blockSize / 8))

  const load = async (block: number): Promise<void> => {
    const bits = new Uint8Array(layout.bitmapSize)
    await file.read(offsetOf(block), bits)
    kept.set(block, { bits, isDirty: false, isSaving: false })
  }
  /** Once for all who wait. Afterwards the bitmap may be gone again: look before each use. */
  const loadOnce = async (block: number): Promise<void> => {
    let loading = loads.get(block)
    if (loading === undefined) {
      loading = load(block).finally(() => loads.delete(block))
      loads.set(block, loading)
    }
    await loading
  }
  const useNow = (block: number): Bitmap => {
    const bitmap = kept.get(block)!
    kept.delete(block)
    kept.set(block, bitmap)
    return bitmap
  }

  const save = async (block: number, bitmap: Bitmap): Promise<void> => {
    bitmap.isDirty = false
    bitmap.isSaving = true
    const saving = file.write(offsetOf(block), bitmap.bits)
    saves.add(saving)
    try {
      await saving
    } finally {
      saves.delete(saving)
      bitmap.isSaving = false
    }
  }
  /** Saves a bitmap where need be and forgets it, unless it has changed meanwhile. */
  const evict = async (block: number, bitmap: Bitmap): Promise<void> => {
    if (bitmap.isDirty) await save(block, bitmap)
    if (!bitmap.isDirty && kept.get(block) === bitmap) kept.delete(block)
  }
  const trim = async (): Promise<void> => {
    while (kept.size > maximumCount) {
      const oldest = kept.entries().find(([, bitmap]) => !bitmap.isSaving)
      if (oldest === undefined) await Promise.race(saves)
      else await evict(...oldest)
    }
  }

  return {
    fullBlocks,
    add(block) {
      const bits = new Uint8Array(layout.bitmapSize)
      kept.set(block, { bits, isDirty: true, isSaving: false })
    },
    async runs(block, from, to) {
      while (!kept.has(block)) await loadOnce(block)
      return [...bitRuns(useNow(block).bits, from, to)]
    },
    async change(block, run) {
      while (!kept.has(block)) await loadOnce(block)
      const bitmap = useNow(block)
      fillBits(bitmap.bits, run)
      bitmap.isDirty = true
      const full = run.isSet && isFull(bitmap.bits, sectorsInside(block, layout.blockSize, size))
      fillBits(fullBlocks, { from: block, to: block + 1, isSet: full })
      if (full) {
        // After the disk's end too: a reader need not know where that is.
        bitmap.bits.fill(0xff)
        if (!bitmap.isSaving) await evict(block, bitmap)
      }
      await trim()
    },
    async flush() {
      for (const [block, bitmap] of kept) if (bitmap.isDirty) await save(block, bitmap)
    },
  }
}
