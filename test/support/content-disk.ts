// Disks whose data can be compressed well, not at all, or is zeros all through.

import type { Disk } from '../../src/disk/disk.ts'
import { rangeWithin } from '../../src/disk/disk.ts'
import type { Extent } from '../../src/disk/extents.ts'
import { clip, coalesce } from '../../src/disk/extents.ts'
import { fillPattern } from './disks.ts'

/** `text`, `random` and `zeros` are data. */
export type ContentKind = 'text' | 'random' | 'zeros' | 'hole' | 'zero'

/** A stretch, from the end of the one before. */
export type ContentPart = readonly [kind: ContentKind, length: number]

/** Numbers of xorshift32: the same each time, and no compression makes them smaller. */
const fillRandom = (offset: number, target: Uint8Array): void => {
  let state = (offset * 2_654_435_761 + 88_172_645) | 1
  for (let index = 0; index < target.length; index += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    target[index] = state >>> 11
  }
}

const isData = (kind: ContentKind): boolean => kind !== 'hole' && kind !== 'zero'

export const createContentDisk = (parts: readonly ContentPart[]): Disk => {
  let size = 0
  const stretches = parts.map(([kind, length]) => {
    const stretch = { kind, offset: size, length }
    size += length
    return stretch
  })
  const extents = stretches.map(({ kind, ...range }): Extent => {
    return { ...range, kind: kind === 'hole' || kind === 'zero' ? kind : 'data' }
  })
  const contents = new Map<object, Uint8Array>()
  const contentOf = (stretch: (typeof stretches)[number]): Uint8Array => {
    const known = contents.get(stretch)
    if (known !== undefined) return known
    const bytes = new Uint8Array(stretch.length)
    if (stretch.kind === 'random') fillRandom(stretch.offset, bytes)
    if (stretch.kind === 'text') fillPattern(stretch.offset, bytes)
    contents.set(stretch, bytes)
    return bytes
  }
  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      for await (const extent of coalesce(extents)) {
        const inside = clip(extent, asked)
        if (inside !== undefined) yield inside
      }
    },
    async read(offset, target) {
      const asked = rangeWithin(size, { offset, length: target.length })
      target.fill(0)
      for (const stretch of stretches) {
        const inside = isData(stretch.kind) ? clip({ ...stretch, kind: 'data' }, asked) : undefined
        if (inside === undefined) continue
        const from = inside.offset - stretch.offset
        target.set(contentOf(stretch).subarray(from, from + inside.length), inside.offset - offset)
      }
    },
    async close() {},
  }
}
