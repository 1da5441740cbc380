// Places for busy work: who is served, in which order, and that nothing is left behind.

import { describe, expect, test } from 'vitest'
import type { Turn } from '../../../src/transfer/turns.ts'
import { createTurns } from '../../../src/transfer/turns.ts'
import { AppError } from '../../../src/errors.ts'
import { MiB } from '../../../src/units.ts'

/** The names in the order in which they got a place. */
const createRecord = () => {
  const served: string[] = []
  const ask = (turn: Turn, name: string): Promise<void> =>
    (turn.take() ?? Promise.resolve()).then(() => void served.push(name))
  return { served, ask }
}

describe('turns', () => {
  test('work that nobody disturbs never waits, not even for a promise', () => {
    const turn = createTurns(1).turn('a')
    expect(turn.take()).toBeUndefined()
    for (let piece = 0; piece < 100; piece += 1) expect(turn.step(MiB)).toBeUndefined()
    turn.pause()
    expect(turn.take()).toBeUndefined()
  })

  test('a paused one loses its place to whoever asks, and waits when it comes back', async () => {
    const turns = createTurns(1)
    const [stalled, other] = [turns.turn('a'), turns.turn('b')]
    expect(stalled.take()).toBeUndefined()
    stalled.pause()
    expect(other.take()).toBeUndefined()
    const back = stalled.take()
    expect(turns.waiting).toBe(1)
    other.end()
    await back
    expect([turns.busy, turns.waiting]).toEqual([1, 0])
  })

  test('a pause while others wait is theirs at once', async () => {
    const turns = createTurns(1)
    const [first, second] = [turns.turn('a'), turns.turn('b')]
    void first.take()
    const waiting = second.take()
    first.pause()
    await waiting
    expect(first.take()).toBeInstanceOf(Promise)
    second.end()
  })

  test('who is busy gives way after a slice, and only where others wait', async () => {
    const turns = createTurns(1)
    const [first, second] = [turns.turn('a'), turns.turn('b')]
    void first.take()
    expect(first.step(100 * MiB)).toBeUndefined()
    const second1 = second.take()
    expect(first.step(MiB)).toBeUndefined()
    const again = first.step(3 * MiB)
    expect(again).toBeInstanceOf(Promise)
    await second1
    second.end()
    await again
  })

  test('users take turns, however many transfers one of them has', async () => {
    const turns = createTurns(1)
    const { served, ask } = createRecord()
    const holder = turns.turn('x')
    void holder.take()
    const many = Array.from({ length: 4 }, () => turns.turn('many'))
    const few = turns.turn('few')
    const all = [...many.map((turn, index) => ask(turn, `many ${index}`)), ask(few, 'few')]
    holder.end()
    for (const turn of [many[0]!, few, many[1]!, many[2]!, many[3]!]) {
      await new Promise(setImmediate)
      turn.end()
    }
    await Promise.all(all)
    expect(served).toEqual(['many 0', 'few', 'many 1', 'many 2', 'many 3'])
    expect([turns.busy, turns.waiting]).toEqual([0, 0])
  })

  test('a wait ends with its signal, and with the turn', async () => {
    const turns = createTurns(1)
    void turns.turn('a').take()
    const cancel = new AbortController()
    const waiting = turns.turn('b').take(cancel.signal)
    cancel.abort(new AppError('TASK_CANCELLED', ['b']))
    await expect(waiting).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    const ended = turns.turn('c')
    const wait = ended.take()
    ended.end()
    await expect(wait).rejects.toThrow('The turn has ended')
    expect([turns.busy, turns.waiting]).toEqual([1, 0])
  })

  test('ending gives everything back, in whatever state, and twice is harmless', async () => {
    const turns = createTurns(2)
    const [busy, paused, out] = [turns.turn('a'), turns.turn('a'), turns.turn('a')]
    void busy.take()
    void paused.take()
    paused.pause()
    for (const turn of [busy, paused, out, busy, paused]) turn.end()
    expect([turns.busy, turns.waiting]).toEqual([0, 0])
    await expect(busy.take()).rejects.toThrow('The turn has ended')
  })

  test('tells how long it has been paused, the present pause included', () => {
    let time = 1000
    const turn = createTurns(1, () => time).turn('a')
    void turn.take()
    turn.pause()
    time = 1300
    expect([turn.pausedSince, turn.pausedTime]).toEqual([1000, 300])
    void turn.take()
    time = 2000
    expect([turn.pausedSince, turn.pausedTime]).toEqual([undefined, 300])
  })
})
