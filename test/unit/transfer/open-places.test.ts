// Who may be open: the bound, its share for one user, and the stalled that make room.

import { describe, expect, test } from 'vitest'
import type { AppError } from '../../../src/errors.ts'
import type { Occupant } from '../../../src/transfer/open-places.ts'
import { createOpenPlaces } from '../../../src/transfer/open-places.ts'

const now = 1_000_000

const createTest = (maximum: number) => {
  const evicted: [Occupant, AppError][] = []
  const places = createOpenPlaces(maximum, () => now)
  /** @param stalledFor seconds since its client took or sent something; undefined: it is busy */
  const open = (user: string, stalledFor?: number): Occupant => {
    const occupant: Occupant = {
      user,
      pausedSince: stalledFor === undefined ? undefined : now - stalledFor * 1000,
      evict: (reason) => evicted.push([occupant, reason]),
    }
    places.take(occupant)
    return occupant
  }
  return { places, open, evicted }
}

describe('open places', () => {
  test('nobody is refused while places are left; then 503', () => {
    const { places, open } = createTest(4)
    const first = open('a')
    open('a')
    open('b')
    open('b')
    expect(() => open('c')).toThrow('All 4 places for open transfers are taken: try again later')
    places.giveBack(first)
    places.giveBack(first)
    open('c')
    expect(places.size).toBe(4)
  })

  test('one user may have three quarters, the rest is for others', () => {
    const { open } = createTest(4)
    for (let count = 0; count < 3; count += 1) open('a')
    expect(() => open('a')).toThrow(
      'The user a has 3 open transfers of 3 that one user may have: try again later',
    )
    open('b')
  })

  test('when all are taken, the longest stalled of the user with most goes for one with fewer', () => {
    const { open, evicted } = createTest(4)
    open('a', 70)
    const longest = open('a', 90)
    open('a', 59)
    open('b', 500)
    open('c')
    expect(evicted).toEqual([
      [
        longest,
        expect.objectContaining({ code: 'TOO_BUSY', message: expect.stringContaining('for 90 s') }),
      ],
    ])
  })

  test('who waits for less than a minute stays, and so does who has no more than the newcomer', () => {
    const { open, evicted } = createTest(4)
    open('a', 59)
    open('a', 59)
    open('b', 500)
    open('c')
    expect(() => open('b')).toThrow('All 4 places')
    expect(evicted).toEqual([])
  })

  test('a user with as many as one may have loses the own longest stalled first', () => {
    const { open, evicted } = createTest(4)
    const own = open('a', 61)
    open('b', 600)
    open('a', 5)
    open('a')
    open('a')
    expect(evicted.map(([occupant]) => occupant)).toEqual([own])
  })
})
