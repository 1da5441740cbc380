// A WritableImage of any size in memory, page by page, whose every step takes a turn or more of the
// event loop, so that operations under way at once really meet. Notes what is written and read.

import { rangeWithin, throwIfAborted } from '../../src/disk/disk.ts'
import type { ByteRange, Extent } from '../../src/disk/extents.ts'
import { clip, coalesce } from '../../src/disk/extents.ts'
import type { WritableImage } from '../../src/image/image.ts'

const pageSize = 4096

export interface SparseImage extends WritableImage {
  readonly writes: ByteRange[]
  readonly reads: ByteRange[]
  /** Bytes in pages that were written to. */
  readonly stored: number
}

/**
 * @param turns how many turns the next step takes; different answers put steps out of order
 * @param fail throws where the step at this offset shall fail
 */
export const createSparseImage = (
  turns: () => number = () => 1,
  fail: (offset: number) => void = () => {},
): SparseImage => {
  const pages = new Map<number, Uint8Array>()
  const writes: ByteRange[] = []
  const reads: ByteRange[] = []
  let size = 0

  const wait = async (): Promise<void> => {
    for (let left = turns(); left > 0; left -= 1) await new Promise(setImmediate)
  }
  const eachPage = (
    offset: number,
    length: number,
    visit: (page: number, inside: number, done: number, count: number) => void,
  ): void => {
    for (let done = 0; done < length;) {
      const inside = (offset + done) % pageSize
      const count = Math.min(pageSize - inside, length - done)
      visit((offset + done - inside) / pageSize, inside, done, count)
      done += count
    }
  }
  const store = (offset: number, source: Uint8Array): void =>
    eachPage(offset, source.length, (page, inside, done, count) => {
      let bytes = pages.get(page)
      if (bytes === undefined) {
        bytes = new Uint8Array(pageSize)
        pages.set(page, bytes)
      }
      bytes.set(source.subarray(done, done + count), inside)
    })

  /** Page by page; pages that were never written to are holes. */
  function* pageExtents({ offset, length }: ByteRange): Generator<Extent> {
    const end = offset + length
    for (let at = offset - (offset % pageSize); at < end; at += pageSize) {
      const kind = pages.has(at / pageSize) ? 'data' : 'hole'
      yield clip({ offset: at, length: pageSize, kind }, { offset, length })!
    }
  }

  return {
    writes,
    reads,
    extents: (range) => coalesce(pageExtents(rangeWithin(size, range))),
    get stored() {
      return pages.size * pageSize
    },
    get size() {
      return size
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      reads.push({ offset, length: target.length })
      await wait()
      target.fill(0)
      eachPage(offset, target.length, (page, inside, done, count) => {
        const bytes = pages.get(page)
        if (bytes !== undefined) target.set(bytes.subarray(inside, inside + count), done)
      })
    },
    async write(offset, source, signal) {
      throwIfAborted(signal)
      size = Math.max(size, offset + source.length)
      writes.push({ offset, length: source.length })
      // Half of the bytes as they were before the wait, half as they are after it: a buffer that is
      // changed under way is torn.
      const middle = source.length >> 1
      const early = new Uint8Array(source.subarray(0, middle))
      await wait()
      fail(offset)
      store(offset, early)
      store(offset + middle, source.subarray(middle))
    },
    async truncate(wanted) {
      size = wanted
    },
    async sync() {},
    async close() {},
  }
}
