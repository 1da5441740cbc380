// An image put together from regions, each of which can fill any part of itself: what every plan
// returns. Holds no bytes of its own.

import { rangeWithin, throwIfAborted } from '../disk/disk.ts'
import type { Image } from './image.ts'

/**
 * A stretch of a file. `fill` writes the bytes from `offset` (inside the region) on into all of
 * `target`.
 */
export interface Region {
  readonly length: number
  fill(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> | void
}

/** Bytes that stand ready. */
export const bytesRegion = (bytes: Uint8Array): Region => ({
  length: bytes.length,
  fill: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
})

/**
 * The regions one after the other, from offset 0 on.
 * @param close closes what the regions read
 */
export const createLayoutImage = (
  regions: readonly Region[],
  close: () => Promise<void>,
): Image => {
  const present = regions.filter((region) => region.length > 0)
  const starts: number[] = []
  let size = 0
  for (const region of present) {
    starts.push(size)
    size += region.length
  }
  return {
    size,
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      let index = starts.findLastIndex((start) => start <= offset)
      for (let done = 0; done < target.length; index += 1) {
        const inside = offset + done - starts[index]!
        const length = Math.min(target.length - done, present[index]!.length - inside)
        await present[index]!.fill(inside, target.subarray(done, done + length), signal)
        done += length
      }
    },
    close,
  }
}
