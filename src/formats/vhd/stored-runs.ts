// Which parts of an image file the storage holds as data. What a writer left as a hole inside a
// written block reads as zeros: a layer on a parent says "zeros here" in this way.

import type { ByteRange, Extent } from '../../disk/extents.ts'
import type { Image } from '../../image/image.ts'
import { alignDown, alignUp, SECTOR_SIZE } from '../../units.ts'

export interface StoredRuns {
  /**
   * What the latest answer of the storage says of all of a range in whole sectors; undefined where
   * it does not reach so far, or the range is of both kinds. Asks nothing.
   */
  known(offset: number, length: number): 'data' | 'zero' | undefined
  /** `data` and `zero` extents of a range of the file, in whole sectors, ascending and gap-free. */
  within(range: ByteRange): AsyncIterable<Extent>
}

/** A storage that cannot tell of holes holds data everywhere. */
export const createStoredRuns = (image: Image): StoredRuns => {
  // The latest run of the file. One of data may be as long as the file: then it answers for all.
  let known: Extent = { offset: 0, length: 0, kind: 'hole' }
  if (image.extents === undefined) known = { offset: 0, length: image.size, kind: 'data' }

  const holds = (run: Extent, offset: number): boolean =>
    run.offset <= offset && offset < run.offset + run.length

  const runAt = async (offset: number): Promise<Extent> => {
    if (holds(known, offset) || image.extents === undefined) return known
    for await (const run of image.extents({ offset, length: image.size - offset })) {
      known = run
      break
    }
    return known
  }

  return {
    known(offset, length) {
      if (!holds(known, offset) || !holds(known, offset + length - 1)) return undefined
      return known.kind === 'hole' ? 'zero' : 'data'
    },
    async *within({ offset, length }) {
      const end = offset + length
      for (let at = offset; at < end;) {
        const run = await runAt(at)
        const isHole = run.kind === 'hole'
        const runEnd = Math.min(end, run.offset + run.length)
        // A sector that is only partly a hole counts as data.
        const stop = isHole ? alignDown(runEnd, SECTOR_SIZE) : alignUp(runEnd, SECTOR_SIZE)
        const isZero = isHole && stop > at
        const next = isZero ? stop : Math.max(stop, at + SECTOR_SIZE)
        yield { offset: at, length: next - at, kind: isZero ? 'zero' : 'data' }
        at = next
      }
    },
  }
}
