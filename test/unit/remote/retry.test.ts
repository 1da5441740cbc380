// Trying again: how often, after which waits, and what ends it.

import { describe, expect, test } from 'vitest'
import { retried } from '../../../src/remote/retry.ts'

const start = (outcomes: readonly (Error | string)[]) => {
  const waits: number[] = []
  const stop = new AbortController()
  const left = [...outcomes]
  const attempts: number[] = []
  const work = async (attempt: number): Promise<string> => {
    attempts.push(attempt)
    const outcome = left.shift()!
    if (outcome instanceof Error) throw outcome
    return outcome
  }
  const run = (tries = 4) =>
    retried(work, {
      tries,
      signal: stop.signal,
      isRetriable: (error) => String(error).includes('cut'),
      sleep: async (milliseconds) => void waits.push(milliseconds),
    })
  return { run, waits, attempts, stop }
}

const cut = new Error('cut')

describe('work', () => {
  test('is tried again after waits that grow, until it succeeds', async () => {
    const { run, waits, attempts } = start([cut, cut, cut, 'done'])
    expect(await run()).toBe('done')
    expect(attempts).toEqual([1, 2, 3, 4])
    for (const [index, longest] of [500, 1000, 2000].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(longest / 2)
      expect(waits[index]).toBeLessThanOrEqual(longest)
    }
  })

  test('waits half a minute at most', async () => {
    const { run, waits } = start([...Array.from({ length: 12 }, () => cut), 'done'])
    await run(13)
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000)
  })

  test('is not tried for ever, and not where it would not help', async () => {
    const first = start([cut, cut])
    await expect(first.run(2)).rejects.toBe(cut)
    const other = start([new Error('full'), 'done'])
    await expect(other.run()).rejects.toThrow('full')
    expect(other.waits).toEqual([])
  })

  test('ends with the reason of the signal', async () => {
    const { run, stop, attempts } = start([cut, 'done'])
    stop.abort(new Error('cancelled'))
    await expect(run()).rejects.toThrow('cancelled')
    expect(attempts).toEqual([1])
  })
})
