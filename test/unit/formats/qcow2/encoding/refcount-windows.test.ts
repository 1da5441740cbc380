// Refcounts of files that are larger than one block counts: 2 GiB.

import { expect, test } from 'vitest'
import { createRefcountWindows } from '../../../../../src/formats/qcow2/encoding/refcount-windows.ts'
import { viewOf } from '../../../../../src/image/binary.ts'
import { GiB, KiB } from '../../../../../src/units.ts'

const cluster = 64 * KiB

const countsOf = (block: Uint8Array): number[] =>
  Array.from({ length: block.length / 2 }, (_, index) => viewOf(block).getUint16(index * 2))

test('uses are counted cluster by cluster, and the last block counts itself', () => {
  const refcounts = createRefcountWindows()
  refcounts.use(0, cluster)
  refcounts.use(cluster, 100)
  refcounts.use(cluster + 100, cluster)
  expect(refcounts.take(3 * cluster, false)).toEqual([])
  const [block, ...more] = refcounts.take(3 * cluster, true)
  expect(more).toEqual([])
  expect(countsOf(block!).slice(0, 5)).toEqual([1, 2, 1, 1, 0])
  expect(refcounts.offsets).toEqual([3 * cluster])
})

test('a block is given out once the file has grown past it, and is counted by the next', () => {
  const refcounts = createRefcountWindows()
  refcounts.use(0, 2 * GiB)
  const [first, ...none] = refcounts.take(2 * GiB, false)
  expect(none).toEqual([])
  expect(countsOf(first!).every((count) => count === 1)).toBe(true)
  expect(refcounts.take(2 * GiB + cluster, false)).toEqual([])
  const [second] = refcounts.take(2 * GiB + cluster, true)
  expect(countsOf(second!).slice(0, 3)).toEqual([1, 1, 0])
  expect(refcounts.offsets).toEqual([2 * GiB, 2 * GiB + cluster])
})

test('blocks that reach into what another counts make that one necessary', () => {
  const refcounts = createRefcountWindows()
  refcounts.use(0, 2 * GiB - cluster)
  // One cluster is left in the first window: its own block fills it.
  expect(refcounts.take(2 * GiB - cluster, true)).toHaveLength(1)
  const full = createRefcountWindows()
  full.use(0, 2 * GiB)
  const blocks = full.take(2 * GiB, true)
  expect(blocks).toHaveLength(2)
  expect(countsOf(blocks[1]!).slice(0, 3)).toEqual([1, 1, 0])
})

test('many small clusters in one of the file', () => {
  const refcounts = createRefcountWindows()
  for (let at = 0; at < cluster; at += 16) refcounts.use(at, 16)
  expect(countsOf(refcounts.take(cluster, true)[0]!)[0]).toBe(cluster / 16)
})
