// The currency of diskport: stretches of guest bytes that hold data, zeros or nothing.
// Used by disks, plans and maps; knows neither files nor formats.

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

/** Joins neighbours of one kind and drops empty extents; the input must be ascending and gap-free. */
export async function* coalesce(
  extents: AsyncIterable<Extent> | Iterable<Extent>,
): AsyncGenerator<Extent, void, undefined> {
  let last: Extent | undefined
  for await (const { offset, length, kind } of extents) {
    if (length === 0) continue
    if (last !== undefined && last.kind === kind) {
      last = { ...last, length: last.length + length }
      continue
    }
    if (last !== undefined) yield last
    last = { offset, length, kind }
  }
  if (last !== undefined) yield last
}

/** The part of `extent` inside `range`; undefined where they do not meet. */
export const clip = <T extends ByteRange>(extent: T, range: ByteRange): T | undefined => {
  const offset = Math.max(extent.offset, range.offset)
  const end = Math.min(extent.offset + extent.length, range.offset + range.length)
  return end > offset ? { ...extent, offset, length: end - offset } : undefined
}
