import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { fillRefcounts, layoutRefcounts } from '../../../../src/formats/qcow2/refcounts.ts'

const blockCounts = 32_768
const tableBlocks = 8192

test('refcounts have exactly the room they need, their own included', () => {
  const expectExact = (others: number): void => {
    const { blocks, tableClusters, totalClusters } = layoutRefcounts(others)
    expect(totalClusters).toBe(others + blocks + tableClusters)
    expect(blocks * blockCounts).toBeGreaterThanOrEqual(totalClusters)
    expect((blocks - 1) * blockCounts).toBeLessThan(totalClusters)
    expect(tableClusters).toBe(Math.ceil(blocks / tableBlocks))
  }
  for (const edge of [1, blockCounts, 2 * blockCounts, blockCounts * tableBlocks]) {
    for (let others = Math.max(1, edge - 6); others < edge + 6; others += 1) expectExact(others)
  }
  fc.assert(fc.property(fc.integer({ min: 1, max: 2 ** 29 }), expectExact))
})

test('a table that has more room than it needs keeps it', () => {
  expect(layoutRefcounts(10, 2)).toEqual({ tableClusters: 2, blocks: 1, totalClusters: 13 })
})

test('any range of the blocks is a slice of them: ones, then zeros', () => {
  const layout = { tableClusters: 1, blocks: 1, totalClusters: 300 }
  const whole = new Uint8Array(65_536)
  for (let cluster = 0; cluster < 300; cluster += 1) whole[cluster * 2 + 1] = 1
  for (const offset of [0, 1, 2, 597, 598, 599, 600, 601, 65_000]) {
    for (const length of [0, 1, 2, 3, 100]) {
      const part = new Uint8Array(length).fill(0xff)
      fillRefcounts(offset, part, layout)
      expect([...part]).toEqual([...whole.subarray(offset, offset + length)])
    }
  }
})
