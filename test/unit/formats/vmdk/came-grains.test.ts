import { expect, test } from 'vitest'
import { CameGrains } from '../../../../src/formats/vmdk/came-grains.ts'

const cameOf = (grains: readonly number[]): CameGrains => {
  const came = new CameGrains()
  for (const grain of grains) came.add(grain, grain * 3)
  return came
}

/** More than there is room for at first. */
const many = Array.from({ length: 3000 }, (_, index) => index * 1_000_003)

test.each([
  ['ascending', many],
  ['descending', many.toReversed()],
])('%s: all are told in order', (_name, grains) => {
  const came = cameOf(grains.map((grain) => grain % 2 ** 32))
  const sorted = grains.map((grain) => grain % 2 ** 32).toSorted((a, b) => a - b)
  expect(came.count).toBe(3000)
  expect(came.findTwice()).toBeUndefined()
  expect(sorted.every((grain) => came.isNext(grain, (grain * 3) % 2 ** 32))).toBe(true)
  expect(came.isNext(1, 3)).toBe(false)
})

test('one that came twice is found, neighbours or not', () => {
  expect(cameOf([4, 4]).findTwice()).toBe(4)
  expect(cameOf([4, 9, 2, 4]).findTwice()).toBe(4)
})

test('another place is not the next', () => {
  const came = cameOf([1, 2])
  expect(came.findTwice()).toBeUndefined()
  expect(came.isNext(1, 4)).toBe(false)
})
