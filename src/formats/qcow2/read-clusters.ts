// Reads ranges of the guest's disk from an image at rest. What lies directly one after the other,
// in the image and in what is asked for, is one read of the image, however far apart it is in the
// guest: a disk that was written here and there lies in its image without gaps.

import type { Disk } from '../../disk/disk.ts'
import { throwIfAborted } from '../../disk/disk.ts'
import type { ByteRange } from '../../disk/extents.ts'
import { clip } from '../../disk/extents.ts'
import { requireRanges } from '../../disk/read-ranges.ts'
import { settleAll } from '../../disk/settle.ts'
import type { Image } from '../../image/image.ts'
import type { ClusterRun } from './cluster-run.ts'
import type { CompressedCache } from './compressed-cache.ts'
import type { Header } from './header/header.ts'
import type { GuestRun, Walk } from './walk.ts'

/** Clusters between two ranges that cost less to walk over than a walk of its own. */
const smallGap = 16

/** Reads of the image that one call has under way at once: as many as Node has threads for. */
const lanes = 4

/** A read of the image into the bytes `from` up to `to` of the target. */
interface ImageRead {
  readonly imageOffset: number
  readonly from: number
  to: number
}

/** Compressed clusters are read and decompressed beside the others. */
export const createReader =
  (
    walk: Walk,
    { clusterSize, virtualSize }: Header,
    image: Image,
    cache: CompressedCache,
  ): NonNullable<Disk['readRanges']> =>
  async (ranges, target, signal) => {
    throwIfAborted(signal)
    requireRanges(virtualSize, ranges, target.length)
    const reads: ImageRead[] = []
    const underWay: Promise<void>[] = []
    const fillFrom = async (run: ClusterRun, part: ByteRange, start: number): Promise<void> => {
      const content = await cache.get(run)
      const inside = part.offset - run.cluster * clusterSize
      target.set(content.subarray(inside, inside + part.length), start)
    }
    const place = (run: GuestRun, part: ByteRange, start: number): void => {
      if (run.compressed !== undefined) {
        const filling = fillFrom(run.compressed, part, start)
        filling.catch(() => {})
        underWay.push(filling)
      } else if (run.kind === 'data') {
        addRead(reads, run.imageOffset + (part.offset - run.offset), start, part.length)
      } else target.fill(0, start, start + part.length)
    }
    try {
      await visitParts(walk, ranges, smallGap * clusterSize, place)
      await readInLanes(reads, ({ imageOffset, from, to }) =>
        readClipped(image, imageOffset, target.subarray(from, to), signal),
      )
      await Promise.all(underWay)
    } finally {
      // Nothing may write into the caller's bytes any more.
      await Promise.allSettled(underWay)
    }
  }

/** Calls `visit` with each run that meets one of `ranges`, and where in the target it begins. */
const visitParts = async (
  walk: Walk,
  ranges: readonly ByteRange[],
  gap: number,
  visit: (run: GuestRun, part: ByteRange, start: number) => void,
): Promise<void> => {
  let start = 0
  for (let index = 0; index < ranges.length;) {
    const { span, count } = neighbours(ranges, index, gap)
    const next = index + count
    for await (const runs of walk(span)) {
      for (const run of runs) {
        const runEnd = run.offset + run.length
        for (; index < next; index += 1) {
          const range = ranges[index]!
          const part = clip(run, range)
          if (part !== undefined) visit(run, part, start + (part.offset - range.offset))
          if (range.offset + range.length > runEnd) break
          start += range.length
        }
      }
    }
    // Only empty ranges are left, which no run meets.
    index = next
  }
}

/** The ranges from `index` on that ascend with small gaps only, and what they span. */
const neighbours = (
  ranges: readonly ByteRange[],
  index: number,
  gap: number,
): { readonly span: ByteRange; readonly count: number } => {
  const { offset, length } = ranges[index]!
  let end = offset + length
  let next = index + 1
  for (; next < ranges.length; next += 1) {
    const range = ranges[next]!
    if (range.offset < end || range.offset > end + gap) break
    end = range.offset + range.length
  }
  return { span: { offset, length: end - offset }, count: next - index }
}

/** Joins the last one where it goes on, in the image and in the target. */
const addRead = (reads: ImageRead[], imageOffset: number, from: number, length: number): void => {
  const last = reads.at(-1)
  if (last?.to === from && last.imageOffset + (from - last.from) === imageOffset) {
    last.to += length
  } else reads.push({ imageOffset, from, to: from + length })
}

/** Throws the first failure when none is under way any more; begins no other after it. */
const readInLanes = async (
  reads: readonly ImageRead[],
  read: (one: ImageRead) => Promise<void>,
): Promise<void> => {
  let next = 0
  const lane = async (): Promise<void> => {
    try {
      while (next < reads.length) await read(reads[next++]!)
    } catch (error) {
      next = reads.length
      throw error
    }
  }
  await settleAll(Array.from({ length: Math.min(lanes, reads.length) }, lane))
}

/** What a short last cluster leaves out is zeros. */
const readClipped = async (
  image: Image,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const present = Math.max(0, Math.min(target.length, image.size - offset))
  if (present > 0) await image.read(offset, target.subarray(0, present), signal)
  target.fill(0, present)
}
