import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClusterQueue } from '../../../../../src/formats/qcow2/stream/cluster-queue.ts'

test('runs come out nearest first, each with its own label and count', () =>
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 50 }), { minLength: 1, maxLength: 300 }),
      (offsets) => {
        const queue = new ClusterQueue()
        for (const [index, offset] of offsets.entries()) queue.push(offset, index, index + 7)
        expect(queue.size).toBe(offsets.length)
        const found: number[] = []
        while (queue.firstOffset !== undefined) {
          expect(offsets[queue.firstLabel]).toBe(queue.firstOffset)
          expect(queue.firstCount).toBe(queue.firstLabel + 7)
          found.push(queue.firstOffset)
          queue.shift()
        }
        expect(found).toEqual(offsets.toSorted((a, b) => a - b))
      },
    ),
  ))

test('runs may be added while others are taken', () => {
  const queue = new ClusterQueue()
  for (const offset of [50, 10, 30]) queue.push(offset, 0, 1)
  queue.shift()
  queue.push(20, 0, 1)
  queue.push(40, 0, 1)
  const found: number[] = []
  for (; queue.firstOffset !== undefined; queue.shift()) found.push(queue.firstOffset)
  expect(found).toEqual([20, 30, 40, 50])
})
