// How slowly the body of a call may come, by a clock that the test moves.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { watchPace } from '../../../src/net/body-pace.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** So many bytes a second, a piece every `every` seconds; after how many seconds it was late. */
const feed = (bytesPerPiece: number, every: number, seconds: number): number | undefined => {
  let received = 0
  let lateAfter: number | undefined
  const begun = performance.now()
  const unwatch = watchPace(
    () => received,
    () => (lateAfter = (performance.now() - begun) / 1000),
  )
  for (let second = 0; second < seconds; second += every) {
    vi.advanceTimersByTime(every * 1000)
    received += bytesPerPiece
  }
  unwatch()
  return lateAfter
}

test('a byte every 20 s is late after 10 s', () => {
  expect(feed(1, 20, 200)).toBeCloseTo(10, 1)
})

test('a byte every second is late after 10 s', () => {
  expect(feed(1, 1, 200)).toBeCloseTo(10, 1)
})

test('8 KiB a second are late when twice as much should have come', () => {
  expect(feed(8192, 1, 200)).toBeCloseTo(19, 0)
})

test('16 KiB a second are never late', () => {
  expect(feed(16_384, 1, 64)).toBeUndefined()
})

test('what has come early counts: after 160 KiB nothing may come for 20 s', () => {
  expect(feed(160 * 1024, 9, 18)).toBeUndefined()
})

test('what is no longer watched is never late', () => {
  const onLate = vi.fn<() => void>()
  watchPace(() => 0, onLate)()
  vi.advanceTimersByTime(60_000)
  expect(onLate).not.toHaveBeenCalled()
})
