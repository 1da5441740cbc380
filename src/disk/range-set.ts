// A set of byte ranges, kept as ascending runs that neither overlap nor touch. Memory and the cost
// of a change in the middle grow with the runs; adding at the end is free.

import type { ByteRange } from './extents.ts'

interface RangeSet {
  add(range: ByteRange): void
  remove(range: ByteRange): void
  /** The parts of `range` that are in the set, ascending. */
  within(range: ByteRange): ByteRange[]
}

export const createRangeSet = (): RangeSet => {
  const starts: number[] = []
  const ends: number[] = []

  /** Index of the first run that ends at or after `offset`. */
  const firstEndingFrom = (offset: number): number => {
    let low = 0
    let high = ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (ends[middle]! < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    add({ offset, length }) {
      let start = offset
      let end = offset + length
      const from = firstEndingFrom(start)
      let to = from
      for (; to < starts.length && starts[to]! <= end; to += 1) {
        start = Math.min(start, starts[to]!)
        end = Math.max(end, ends[to]!)
      }
      starts.splice(from, to - from, start)
      ends.splice(from, to - from, end)
    },
    remove({ offset, length }) {
      const end = offset + length
      const from = firstEndingFrom(offset)
      const newStarts: number[] = []
      const newEnds: number[] = []
      let to = from
      for (; to < starts.length && starts[to]! < end; to += 1) {
        if (starts[to]! < offset) {
          newStarts.push(starts[to]!)
          newEnds.push(Math.min(ends[to]!, offset))
        }
        if (ends[to]! > end) {
          newStarts.push(end)
          newEnds.push(ends[to]!)
        }
      }
      starts.splice(from, to - from, ...newStarts)
      ends.splice(from, to - from, ...newEnds)
    },
    within({ offset, length }) {
      const end = offset + length
      const found: ByteRange[] = []
      for (let at = firstEndingFrom(offset); at < starts.length && starts[at]! < end; at += 1) {
        const start = Math.max(starts[at]!, offset)
        const stop = Math.min(ends[at]!, end)
        if (stop > start) found.push({ offset: start, length: stop - start })
      }
      return found
    },
  }
}
