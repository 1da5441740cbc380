// Sectors of a file that read otherwise than they are stored, because a log says so.

import { rangeWithin } from '../../disk/disk.ts'
import { createRangeSet } from '../../disk/range-set.ts'
import type { Image } from '../../image/image.ts'
import { LOG_SECTOR } from './constants.ts'

export interface Updates {
  /** @param bytes a sector, not to be changed after */
  write(offset: number, bytes: Uint8Array): void
  zero(offset: number, length: number): void
  /** How often `zero` was called. */
  readonly zeroedStretches: number
  /** Changes `target`, which holds the bytes at `offset`, to what they are after all of these. */
  apply(offset: number, target: Uint8Array): void
}

export const createUpdates = (): Updates => {
  /** By their numbers; those that were zeroed since are not here. */
  const sectors = new Map<number, Uint8Array>()
  const zeros = createRangeSet()
  let zeroedStretches = 0

  return {
    write: (offset, bytes) => void sectors.set(offset / LOG_SECTOR, bytes),
    get zeroedStretches() {
      return zeroedStretches
    },
    zero(offset, length) {
      zeroedStretches += 1
      if (length === 0) return
      zeros.add({ offset, length })
      const [from, to] = [offset / LOG_SECTOR, (offset + length) / LOG_SECTOR]
      if (to - from <= sectors.size) {
        for (let sector = from; sector < to; sector += 1) sectors.delete(sector)
        return
      }
      for (const sector of sectors.keys()) {
        if (sector >= from && sector < to) sectors.delete(sector)
      }
    },
    apply(offset, target) {
      const end = offset + target.length
      for (const zero of zeros.within({ offset, length: target.length })) {
        target.fill(0, zero.offset - offset, zero.offset - offset + zero.length)
      }
      if (sectors.size === 0) return
      for (let at = Math.floor(offset / LOG_SECTOR) * LOG_SECTOR; at < end; at += LOG_SECTOR) {
        const sector = sectors.get(at / LOG_SECTOR)
        if (sector === undefined) continue
        const from = Math.max(0, offset - at)
        target.set(sector.subarray(from, Math.min(LOG_SECTOR, end - at)), at + from - offset)
      }
    },
  }
}

/** `image` as it is after `updates`, and at least `size` bytes long. Owns and closes it. */
export const createReplayedImage = (image: Image, updates: Updates, size: number): Image => {
  const present = image.size
  const whole = Math.max(present, size)
  return {
    size: whole,
    async read(offset, target, signal) {
      rangeWithin(whole, { offset, length: target.length })
      const count = Math.max(0, Math.min(target.length, present - offset))
      if (count > 0) await image.read(offset, target.subarray(0, count), signal)
      target.fill(0, count)
      updates.apply(offset, target)
    },
    ...(image.state && { state: () => image.state!() }),
    close: () => image.close(),
  }
}
