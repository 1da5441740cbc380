// The currency of diskport: stretches of guest bytes that hold data, zeros or nothing.
// Used by disks, plans and maps; knows neither files nor formats.

import { createStepCounter } from './step-counter.ts'

/**
 * `data`: read me. `zero`: reads as zeros and hides what a parent holds there.
 * `hole`: this layer says nothing, ask the parent (without one it reads as zeros).
 */
export type ExtentKind = 'data' | 'zero' | 'hole'

/** A stretch of bytes. Both in bytes. */
export interface ByteRange {
  readonly offset: number
  readonly length: number
}

export interface Extent extends ByteRange {
  readonly kind: ExtentKind
}

/**
 * Joins neighbours of one kind and drops empty extents; the input must be ascending and gap-free.
 * Others have their turn now and then, also where no extent has to be waited for.
 */
export async function* coalesce(
  extents: AsyncIterable<Extent> | Iterable<Extent>,
): AsyncGenerator<Extent, void, undefined> {
  if (Symbol.iterator in extents) {
    yield* coalesceBatches([extents])
    return
  }
  const join = createJoin()
  const step = createStepCounter()
  for await (const extent of extents) {
    const whole = join.add(extent)
    if (whole !== undefined) yield whole
    const pause = step()
    if (pause !== undefined) await pause
  }
  if (join.last !== undefined) yield join.last
}

/**
 * The same for extents that come many at once: waiting for what is there costs more than all the
 * rest.
 */
export async function* coalesceBatches(
  batches: AsyncIterable<Iterable<Extent>> | Iterable<Iterable<Extent>>,
): AsyncGenerator<Extent, void, undefined> {
  const join = createJoin()
  const step = createStepCounter()
  for await (const batch of batches) {
    for (const extent of batch) {
      const whole = join.add(extent)
      if (whole !== undefined) yield whole
      const pause = step()
      if (pause !== undefined) await pause
    }
  }
  if (join.last !== undefined) yield join.last
}

/** Keeps the last extent for as long as it grows. */
const createJoin = () => {
  const join = {
    last: undefined as Extent | undefined,
    /** @returns the extent before, where this one does not join it */
    add({ offset, length, kind }: Extent): Extent | undefined {
      if (length === 0) return undefined
      const { last } = join
      if (last?.kind === kind) {
        join.last = { offset: last.offset, length: last.length + length, kind }
        return undefined
      }
      join.last = { offset, length, kind }
      return last
    },
  }
  return join
}

/** The part of `extent` inside `range`; undefined where they do not meet. */
export const clip = <T extends ByteRange>(extent: T, range: ByteRange): T | undefined => {
  const offset = Math.max(extent.offset, range.offset)
  const end = Math.min(extent.offset + extent.length, range.offset + range.length)
  return end > offset ? { ...extent, offset, length: end - offset } : undefined
}
