// How many large answers are made at once, who waits, in which order, and who is refused.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AnswerWork } from '../../../../src/xenapi/wire/answer-room.ts'
import { createAnswerRoom } from '../../../../src/xenapi/wire/answer-room.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const start = (options: Parameters<typeof createAnswerRoom>[0] = {}) => {
  const room = createAnswerRoom({ places: 2, bytes: 100, bytesOfUser: 60, ...options })
  const entered: string[] = []
  /** Begins an answer and asks for a place; its name is noted when it has one. */
  const ask = (name: string, user: string, signal?: AbortSignal) => {
    const work = room.begin(signal)
    work.user(user)
    const asked = work.enter().then(() => void entered.push(name))
    // Looked at by the test, or nobody cares.
    asked.catch(() => {})
    return { work, asked }
  }
  return { room, entered, ask }
}

/** Lets what is decided reach those who wait for it. */
const settled = () => vi.advanceTimersByTimeAsync(0)

describe('large answers', () => {
  test('are made a few at once, the others after them', async () => {
    const { entered, ask } = start()
    const works = ['a', 'b', 'c', 'd'].map((name) => ask(name, 'root').work)
    await settled()
    expect(entered).toEqual(['a', 'b'])
    works[1]!.leave()
    await settled()
    expect(entered).toEqual(['a', 'b', 'c'])
    works[0]!.release()
    works[2]!.leave()
    await settled()
    expect(entered).toEqual(['a', 'b', 'c', 'd'])
  })

  test('wait while others have not been read, whoever made them', async () => {
    const { entered, ask } = start()
    const unread = ['one', 'two'].map((user) => {
      const { work } = ask(user, user)
      work.hold(50)
      return work
    })
    await settled()
    for (const work of unread) work.leave()
    ask('third', 'three')
    await settled()
    expect(entered).toEqual(['one', 'two'])
    unread[0]!.release()
    await settled()
    expect(entered).toEqual(['one', 'two', 'third'])
  })

  test('of a user who reads none wait, those of others do not', async () => {
    const { entered, ask } = start()
    const { work } = ask('unread', 'greedy')
    await settled()
    work.hold(60)
    work.leave()
    ask('another', 'greedy')
    ask('fair', 'modest')
    await settled()
    expect(entered).toEqual(['unread', 'fair'])
    work.release()
    await settled()
    expect(entered).toEqual(['unread', 'fair', 'another'])
  })

  test('come first for the user with the least under way', async () => {
    const { entered, ask } = start()
    const first = ask('a1', 'a').work
    ask('a2', 'a')
    ask('a3', 'a')
    ask('b1', 'b')
    await settled()
    first.leave()
    await settled()
    expect(entered).toEqual(['a1', 'a2', 'b1'])
  })

  test('that wait too long are refused with what is in the way', async () => {
    const { ask } = start({ places: 1, patience: 1000 })
    ask('a', 'root').work.hold(42)
    const { asked } = ask('b', 'root')
    await vi.advanceTimersByTimeAsync(1000)
    await expect(asked).rejects.toMatchObject({
      code: 'TOO_BUSY',
      message:
        'There is no room for another large answer: 1 are being made, and 42 bytes of others have not been read yet. Read the answers to your calls, or try again later',
    })
  })

  test('are refused at once where too many wait, of one user or of all', async () => {
    const { ask } = start({ places: 1, waiting: 3, waitingOfUser: 2 })
    ask('a', 'root')
    ask('b', 'root')
    ask('c', 'root')
    await expect(ask('d', 'root').asked).rejects.toMatchObject({ code: 'TOO_BUSY' })
    ask('e', 'other')
    await expect(ask('f', 'third').asked).rejects.toMatchObject({ code: 'TOO_BUSY' })
  })

  test('of a client that leaves while it waits take no place', async () => {
    const { entered, ask } = start({ places: 1 })
    const { work } = ask('a', 'root')
    const left = new AbortController()
    const { asked } = ask('b', 'root', left.signal)
    left.abort(new Error('gone'))
    await expect(asked).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    work.release()
    ask('c', 'root')
    await settled()
    expect(entered).toEqual(['a', 'c'])
  })

  test('count no longer than until they are released, however often that is said', async () => {
    const { entered, ask } = start()
    const one = ask('a', 'root').work
    await settled()
    one.hold(60)
    one.hold(-10)
    for (let time = 0; time < 3; time += 1) {
      one.leave()
      one.release()
      one.hold(1000)
      one.user('other')
    }
    for (const name of ['b', 'c']) ask(name, 'root')
    await settled()
    expect(entered).toEqual(['a', 'b', 'c'])
  })

  test('take one place for a batch, which may not grow for ever', async () => {
    const { room } = start({ places: 1 })
    const work: AnswerWork = room.begin()
    work.user('root')
    await work.enter()
    work.hold(59)
    await work.enter()
    work.requireMore()
    work.hold(1)
    expect(() => work.requireMore()).toThrow(
      'The answers to this batch have 60 bytes already, the limit is 60 bytes: send fewer calls at once',
    )
  })
})
