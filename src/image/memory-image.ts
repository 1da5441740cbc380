// An image in memory: the smallest Image and WritableImage, for small images and for tests.

import { rangeWithin, throwIfAborted } from '../disk/disk.ts'
import type { WritableImage } from './image.ts'

/** @param initial the first content; copied */
export const createMemoryImage = (initial: Uint8Array = new Uint8Array(0)): WritableImage => {
  let bytes = new Uint8Array(initial)
  let size = bytes.length

  const resize = (wanted: number): void => {
    if (wanted > bytes.length) {
      const larger = new Uint8Array(Math.max(wanted, bytes.length * 2))
      larger.set(bytes.subarray(0, size))
      bytes = larger
    }
    if (wanted < size) bytes.fill(0, wanted, size)
    size = wanted
  }

  return {
    get size() {
      return size
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      target.set(bytes.subarray(offset, offset + target.length))
    },
    async write(offset, source, signal) {
      throwIfAborted(signal)
      if (offset + source.length > size) resize(offset + source.length)
      bytes.set(source, offset)
    },
    async truncate(wanted) {
      resize(wanted)
    },
    async sync() {},
    async close() {},
  }
}
