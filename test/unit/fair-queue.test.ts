// The order in which those who wait have their turn, and who leaves where too many wait.

import { describe, expect, it } from 'vitest'
import type { FairQueue } from '../../src/fair-queue.ts'
import { createFairQueue } from '../../src/fair-queue.ts'

/** `a/root/1 x` waits as x, in the groups before it. */
const add = (queue: FairQueue<string>, ...entries: string[]): (string | undefined)[] =>
  entries.map((entry) => {
    const [path = '', item = ''] = entry.split(' ')
    return queue.add(path.split('/'), item)
  })

const takeAll = (queue: FairQueue<string>): string[] => {
  const taken: string[] = []
  for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next)
  return taken
}

const create = (maximum = 100, maximumOfGroup = 100) =>
  createFairQueue<string>({ maximum, maximumOfGroup })

describe('whose turn it is', () => {
  it('in one group: who came first', () => {
    const queue = create()
    add(queue, 'a/root/1 x', 'a/root/1 y', 'a/root/1 z')
    expect(takeAll(queue)).toEqual(['x', 'y', 'z'])
  })

  it('networks take turns, however many wait in one', () => {
    const queue = create()
    add(queue, 'a/root/1 a1', 'a/root/2 a2', 'a/root/3 a3', 'a/root/4 a4', 'b/root/5 b1')
    expect(takeAll(queue)).toEqual(['a1', 'b1', 'a2', 'a3', 'a4'])
  })

  it('users of a network take turns', () => {
    const queue = create()
    add(queue, 'a/guess/1 g1', 'a/guess/2 g2', 'a/guess/3 g3', 'a/root/4 r1', 'a/root/4 r2')
    expect(takeAll(queue)).toEqual(['g1', 'r1', 'g2', 'r2', 'g3'])
  })

  it('connections that guess at one user take turns: one that asks many times has one', () => {
    const queue = create()
    add(queue, 'a/root/1 g1', 'a/root/1 g2', 'a/root/1 g3', 'a/root/2 mine')
    expect(takeAll(queue)).toEqual(['g1', 'mine', 'g2', 'g3'])
  })

  it('who comes again goes behind those that wait', () => {
    const queue = create()
    add(queue, 'a/root/1 a1', 'b/root/2 b1')
    expect(queue.take()).toBe('a1')
    add(queue, 'a/root/1 a2')
    expect(takeAll(queue)).toEqual(['b1', 'a2'])
    expect(queue.take()).toBeUndefined()
  })
})

describe('where too many wait', () => {
  it('the newest of the longest leaves, not who comes new', () => {
    const queue = create(4)
    expect(
      add(queue, 'a/root/1 a1', 'a/root/1 a2', 'a/root/1 a3', 'b/root/2 b1', 'c/root/3 c1'),
    ).toEqual([undefined, undefined, undefined, undefined, 'a3'])
    expect(takeAll(queue)).toEqual(['a1', 'b1', 'c1', 'a2'])
  })

  it('a network that has its share loses its own, not another network’s', () => {
    const queue = create(100, 2)
    expect(add(queue, 'a/root/1 a1', 'b/root/9 b1', 'a/root/2 a2', 'a/root/3 a3')).toEqual([
      undefined,
      undefined,
      undefined,
      'a2',
    ])
    expect(takeAll(queue)).toEqual(['a1', 'b1', 'a3'])
  })

  it('within a network the user with the most loses', () => {
    const queue = create(100, 3)
    const left = add(queue, 'a/guess/1 g1', 'a/guess/2 g2', 'a/guess/3 g3', 'a/root/4 mine')
    expect(left).toEqual([undefined, undefined, undefined, 'g3'])
    expect(takeAll(queue)).toEqual(['g1', 'mine', 'g2'])
  })

  it.each([
    ['networks', (index: number) => `${index}/root/1`],
    ['users of a network', (index: number) => `a/${index}/1`],
    ['connections of a user', (index: number) => `a/root/${index}`],
  ])('as many of each of the %s: who comes new stays, and who has waited longest', (_, pathOf) => {
    const queue = create(8)
    for (let index = 0; index < 8; index += 1) add(queue, `${pathOf(index)} ${index}`)
    add(queue, `${pathOf(8)} mine`)
    for (let index = 9; index < 12; index += 1) add(queue, `${pathOf(index)} ${index}`)
    const taken = takeAll(queue)
    expect(taken).toHaveLength(8)
    expect(taken).toContain('mine')
    expect(taken[0]).toBe('0')
  })

  it('of a thousand nothing is lost and nothing comes twice', () => {
    const queue = create(50, 20)
    const left = new Set<string>()
    const taken: string[] = []
    for (let index = 0; index < 1000; index += 1) {
      const path = [`n${index % 7}`, `u${index % 5}`, `c${index % 11}`]
      const item = queue.add(path, String(index))
      if (item !== undefined) left.add(item)
      if (index % 3 === 0) taken.push(queue.take()!)
    }
    taken.push(...takeAll(queue))
    expect(new Set([...left, ...taken]).size).toBe(1000)
    expect(left.size + taken.length).toBe(1000)
  })
})
