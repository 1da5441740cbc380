// Logins beside those of somebody who guesses: who gets in, and after how many others.

import { describe, expect, it } from 'vitest'
import { createPasswordQueue } from '../../../../src/catalog/users/password-queue.ts'

/** A queue whose jobs end when the test says so, one at a time. */
const start = () => {
  const queue = createPasswordQueue()
  const begun: string[] = []
  const running: (() => void)[] = []
  const refused: string[] = []
  const ask = (label: string, network: string, user: string, connection = label): void => {
    const job = (): Promise<void> => {
      begun.push(label)
      return new Promise((resolve) => running.push(resolve))
    }
    queue.run({ network, connection }, user, job).catch(() => refused.push(label))
  }
  const finish = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      running.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const guess = (count: number, network: string, user: string): void => {
    for (let index = 0; index < count; index += 1) ask(`guess ${index}`, network, user)
  }
  return { ask, guess, begun, refused, finish }
}

describe('beside 100 connections that guess at root', () => {
  it('root gets in from another address after those that are being worked out', async () => {
    const { ask, guess, begun, refused, finish } = start()
    guess(100, '10.0.0.1', 'root')
    ask('mine', '10.0.0.2', 'root')
    await finish(2)
    expect(begun.indexOf('mine')).toBe(3)
    expect(refused).toEqual([])
  })

  it('another user gets in from the same address at once', async () => {
    const { ask, guess, begun, finish } = start()
    guess(100, '10.0.0.1', 'root')
    ask('mine', '10.0.0.1', 'backup')
    await finish(2)
    expect(begun.indexOf('mine')).toBe(3)
  })

  it('root gets in from the same address too, after those that were there before', async () => {
    const { ask, guess, begun, refused, finish } = start()
    guess(100, '10.0.0.1', 'root')
    ask('mine', '10.0.0.1', 'root')
    await finish(100)
    expect(begun.at(-1)).toBe('mine')
    expect(refused).toEqual([])
  })

  it('one connection that sends hundreds of guesses has one turn', async () => {
    const { ask, begun, refused, finish } = start()
    for (let index = 0; index < 300; index += 1) ask(`guess ${index}`, 'a', 'root', 'one')
    ask('mine', 'a', 'root')
    await finish(2)
    expect(begun).toContain('mine')
    // Two are being worked out, one waits.
    expect(refused).toHaveLength(300 - 2 - 1)
    expect(refused).not.toContain('mine')
  })
})

describe('beside guesses with a user name each', () => {
  it('a user gets in from the same address, and so do the guesses that have waited longest', async () => {
    const { ask, begun, refused, finish } = start()
    for (let index = 0; index < 146; index += 1) ask(`guess ${index}`, 'a', `user ${index}`)
    ask('mine', 'a', 'root')
    await finish(128)
    expect(begun).toContain('mine')
    expect(begun.slice(0, 3)).toEqual(['guess 0', 'guess 1', 'guess 2'])
    expect(refused).toHaveLength(146 + 1 - 2 - 128)
  })

  it('a user gets in from an address of its own, where each guess has one, too', async () => {
    const { ask, begun, finish } = start()
    for (let index = 0; index < 300; index += 1) ask(`guess ${index}`, `${index}`, 'root')
    ask('mine', 'mine', 'root')
    await finish(256)
    expect(begun).toContain('mine')
  })

  it('a connection whose password has had its turn may show another', async () => {
    const { ask, begun, refused, finish } = start()
    for (const label of ['one', 'two', 'three']) ask(label, 'a', 'root', 'same')
    await finish(1)
    ask('four', 'a', 'root', 'same')
    ask('five', 'a', 'root', 'same')
    await finish(3)
    expect(begun).toEqual(['one', 'two', 'three', 'four'])
    expect(refused).toEqual(['five'])
  })
})

describe('many addresses', () => {
  it('that fill the queue leave room for one more', async () => {
    const { ask, guess, begun, refused, finish } = start()
    for (const network of ['a', 'b', 'c']) guess(128, network, 'root')
    ask('mine', 'd', 'root')
    await finish(6)
    expect(begun).toContain('mine')
    expect(refused).not.toContain('mine')
  })

  it('a job that fails makes room like any other', async () => {
    const queue = createPasswordQueue()
    const askers = Array.from({ length: 10 }, (_, index) => ({
      network: 'a',
      connection: String(index),
    }))
    const fail = (): Promise<void> => Promise.reject(new Error('broken'))
    const jobs = askers.map((asker) => queue.run(asker, 'root', fail))
    const outcomes = await Promise.allSettled(jobs)
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
    expect(await queue.run(askers[0]!, 'root', async () => 'done')).toBe('done')
  })
})
