// The block map: which stretches of a disk hold data, zeros or nothing, and in which layer of its
// chain. Built once for each immutable layer and used by everything that skips holes.
// block-map-sets.ts combines maps. The runs lie in typed arrays, 9 bytes each; there is never an
// entry per block.

import type { Disk } from './disk.ts'
import { rangeWithin } from './disk.ts'
import type { ByteRange, Extent, ExtentKind } from './extents.ts'

/** A stretch of one kind from one layer. */
export interface MapRun extends Extent {
  /** The layer that answers; 0 is the top one. Always 0 for a hole, because no layer answers. */
  readonly depth: number
}

export interface BlockMap {
  /** Virtual size in bytes. The runs cover it exactly. */
  readonly size: number
  readonly runCount: number
  /** The runs in `range` (default: all), clipped to it; ascending, gap-free, neighbours differ. */
  runs(range?: ByteRange): Iterable<MapRun>
  /** A new cursor on the first run, for walking several maps together. */
  cursor(): RunCursor
  /** The number of bytes of this kind. */
  countBytes(kind: ExtentKind): number
}

/**
 * A position in the runs of a map. It creates no object per run. Past the last run it stands on a
 * hole without end.
 */
export interface RunCursor {
  readonly kind: ExtentKind
  readonly depth: number
  /** The end of the run, in bytes; Infinity past the last run. */
  readonly end: number
  next(): void
}

/** The deepest layer that a label can name, far above the limit on the length of a chain. */
const maximumDepth = 126

const kinds: readonly ExtentKind[] = ['zero', 'data']

// The label of a run: 0 is a hole, then come zero and data of layer 0, of layer 1, and so on.
const labelOf = (kind: ExtentKind, depth: number): number =>
  kind === 'hole' ? 0 : 1 + depth * kinds.length + kinds.indexOf(kind)

const kindOf = (label: number): ExtentKind => (label === 0 ? 'hole' : kinds[(label - 1) % 2]!)

const depthOf = (label: number): number => (label === 0 ? 0 : Math.floor((label - 1) / 2))

export interface BlockMapBuilder {
  /** Adds the next `length` bytes. */
  add(length: number, kind: ExtentKind, depth?: number): void
  /** The map of everything that was added. */
  finish(): BlockMap
}

export const createBlockMapBuilder = (): BlockMapBuilder => {
  let starts = new Float64Array(64)
  let labels = new Uint8Array(64)
  let count = 0
  let end = 0
  return {
    add(length, kind, depth = 0) {
      if (length === 0) return
      if (depth > maximumDepth) throw new RangeError(`Layer ${depth} is below ${maximumDepth}`)
      const label = labelOf(kind, depth)
      const start = end
      end += length
      if (count > 0 && labels[count - 1] === label) return
      if (count === starts.length) {
        const largerStarts = new Float64Array(count * 2)
        largerStarts.set(starts)
        starts = largerStarts
        const largerLabels = new Uint8Array(count * 2)
        largerLabels.set(labels)
        labels = largerLabels
      }
      starts[count] = start
      labels[count] = label
      count += 1
    },
    finish: () => blockMapOf(starts.slice(0, count), labels.slice(0, count), end),
  }
}

const blockMapOf = (starts: Float64Array, labels: Uint8Array, size: number): BlockMap => {
  const runCount = starts.length

  const lastStartingAtMost = (offset: number): number => {
    let low = 0
    let high = runCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (starts[middle]! <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }
  const endOf = (run: number): number => (run + 1 < runCount ? starts[run + 1]! : size)

  return {
    size,
    runCount,
    *runs(range) {
      const { offset, length } = rangeWithin(size, range)
      const end = offset + length
      for (let run = Math.max(0, lastStartingAtMost(offset)); run < runCount; run += 1) {
        const start = Math.max(starts[run]!, offset)
        if (start >= end) return
        const label = labels[run]!
        const stop = Math.min(endOf(run), end)
        yield { offset: start, length: stop - start, kind: kindOf(label), depth: depthOf(label) }
      }
    },
    cursor() {
      let run = -1
      const cursor = {
        kind: 'hole' as ExtentKind,
        depth: 0,
        end: 0,
        next() {
          run += 1
          const label = run < runCount ? labels[run]! : 0
          cursor.kind = kindOf(label)
          cursor.depth = depthOf(label)
          cursor.end = run < runCount ? endOf(run) : Infinity
        },
      }
      cursor.next()
      return cursor
    },
    countBytes(kind) {
      let bytes = 0
      for (let run = 0; run < runCount; run += 1) {
        if (kindOf(labels[run]!) === kind) bytes += endOf(run) - starts[run]!
      }
      return bytes
    },
  }
}

/**
 * The map of one disk, made from its extents. All depths are 0.
 * @param within asks only for the stretches that this map holds; the rest is a hole
 */
export const collectBlockMap = async (disk: Disk, within?: BlockMap): Promise<BlockMap> => {
  const builder = createBlockMapBuilder()
  const asked = within?.runs() ?? [{ offset: 0, length: disk.size, kind: 'data' as const }]
  for (const { offset, length, kind } of asked) {
    if (kind === 'hole') builder.add(length, 'hole')
    else
      for await (const extent of disk.extents({ offset, length }))
        builder.add(extent.length, extent.kind)
  }
  return builder.finish()
}

/** A map of `size` bytes that is one hole. */
export const emptyBlockMap = (size: number): BlockMap => {
  const builder = createBlockMapBuilder()
  builder.add(size, 'hole')
  return builder.finish()
}

/** Whether two maps of single layers, as made by collectBlockMap, are equal. */
export const tellTheSame = (map: BlockMap, other: BlockMap): boolean => {
  if (map.size !== other.size || map.runCount !== other.runCount) return false
  const others = other.runs()[Symbol.iterator]()
  for (const { length, kind } of map.runs()) {
    const { value } = others.next()
    if (value?.kind !== kind || value.length !== length) return false
  }
  return true
}
