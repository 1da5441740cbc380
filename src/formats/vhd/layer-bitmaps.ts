// Sector bitmaps of a layer that is being written. The latest used stay in memory; others lie in
// the file, where they belong in the end anyway. Which blocks are full is known of all.

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
  /** A bit for each block, set where all of its sectors that the disk has are written. */
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

export const createLayerBitmaps = (target: BitmapFile): LayerBitmaps => new BitmapStore(target)

class BitmapStore implements LayerBitmaps {
  readonly fullBlocks: Uint8Array
  readonly #target: BitmapFile
  readonly #maximumCount: number
  /** Ordered by last use, oldest first. */
  readonly #kept = new Map<number, Bitmap>()
  readonly #loads = new Map<number, Promise<void>>()
  readonly #saves = new Set<Promise<void>>()

  constructor(target: BitmapFile) {
    this.#target = target
    this.#maximumCount = Math.floor(maximumBytes / target.layout.bitmapSize)
    this.fullBlocks = new Uint8Array(Math.ceil(target.size / target.layout.blockSize / 8))
  }

  add(block: number): void {
    const bits = new Uint8Array(this.#target.layout.bitmapSize)
    this.#kept.set(block, { bits, isDirty: true, isSaving: false })
  }

  async runs(block: number, from: number, to: number): Promise<BitRun[]> {
    while (!this.#kept.has(block)) await this.#load(block)
    return [...bitRuns(this.#useNow(block).bits, from, to)]
  }

  async change(block: number, run: BitRun): Promise<void> {
    while (!this.#kept.has(block)) await this.#load(block)
    const { layout, size } = this.#target
    const bitmap = this.#useNow(block)
    fillBits(bitmap.bits, run)
    bitmap.isDirty = true
    const isFullNow = run.isSet && isFull(bitmap.bits, sectorsInside(block, layout.blockSize, size))
    fillBits(this.fullBlocks, { from: block, to: block + 1, isSet: isFullNow })
    if (isFullNow && !bitmap.isSaving) await this.#evict(block, bitmap)
    await this.#trim()
  }

  async flush(): Promise<void> {
    for (const [block, bitmap] of this.#kept) {
      if (bitmap.isDirty) await this.#save(block, bitmap)
    }
  }

  /** Once for all who wait. Afterwards the bitmap may be gone again: look before each use. */
  async #load(block: number): Promise<void> {
    let loading = this.#loads.get(block)
    if (loading === undefined) {
      loading = this.#read(block).finally(() => this.#loads.delete(block))
      this.#loads.set(block, loading)
    }
    await loading
  }

  async #read(block: number): Promise<void> {
    const { file, layout, offsetOf } = this.#target
    const bits = new Uint8Array(layout.bitmapSize)
    await file.read(offsetOf(block), bits)
    this.#kept.set(block, { bits, isDirty: false, isSaving: false })
  }

  /** The bitmap, which must be there, as the latest used. It stays until the next await. */
  #useNow(block: number): Bitmap {
    const bitmap = this.#kept.get(block)!
    this.#kept.delete(block)
    this.#kept.set(block, bitmap)
    return bitmap
  }

  async #save(block: number, bitmap: Bitmap): Promise<void> {
    bitmap.isDirty = false
    bitmap.isSaving = true
    const saving = this.#target.file.write(this.#target.offsetOf(block), bitmap.bits)
    this.#saves.add(saving)
    try {
      await saving
    } finally {
      this.#saves.delete(saving)
      bitmap.isSaving = false
    }
  }

  /** Saves a bitmap where need be and forgets it, unless it has changed meanwhile. */
  async #evict(block: number, bitmap: Bitmap): Promise<void> {
    if (bitmap.isDirty) await this.#save(block, bitmap)
    if (!bitmap.isDirty && this.#kept.get(block) === bitmap) this.#kept.delete(block)
  }

  async #trim(): Promise<void> {
    while (this.#kept.size > this.#maximumCount) {
      const oldest = this.#kept.entries().find(([, bitmap]) => !bitmap.isSaving)
      if (oldest === undefined) await Promise.race(this.#saves)
      else await this.#evict(...oldest)
    }
  }
}
