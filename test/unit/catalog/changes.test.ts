// What the changes of one transaction come to.

import { describe, expect, test } from 'vitest'
import { createChanges, createTouches } from '../../../src/catalog/changes.ts'
import type { Change } from '../../../src/catalog/changes.ts'

describe('touches', () => {
  test('are one for each object, in the order of the first', () => {
    const { touch, list } = createTouches()
    touch('VDI', 'a', 'add')
    touch('SR', 'a')
    touch('VDI', 'a')
    touch('task', 'b', 'del')
    touch('SR', 'a')
    expect(list()).toEqual([
      { className: 'VDI', uuid: 'a', operation: 'add' },
      { className: 'SR', uuid: 'a', operation: 'mod' },
      { className: 'task', uuid: 'b', operation: 'del' },
    ])
  })

  test.each([
    [['add', 'mod'], 'add'],
    [['mod', 'del'], 'del'],
    [['del', 'mod'], 'del'],
    [['del', 'add'], 'mod'],
    [['add', 'del'], undefined],
    [['add', 'del', 'add'], 'add'],
  ] as const)('%j come to %s', (operations, expected) => {
    const { touch, list } = createTouches()
    for (const operation of operations) touch('VDI', 'a', operation)
    expect(list().map(({ operation }) => operation)).toEqual(expected ? [expected] : [])
  })
})

test('listeners are told in order, until they unsubscribe', () => {
  const changes = createChanges()
  const told: Change[] = []
  const unsubscribe = changes.subscribe((change) => told.push(change))
  changes.emit('VDI', 'a', 'add')
  changes.emit('VDI', 'a', 'del')
  unsubscribe()
  changes.emit('VDI', 'b', 'add')
  expect(told).toEqual([
    { className: 'VDI', uuid: 'a', operation: 'add' },
    { className: 'VDI', uuid: 'a', operation: 'del' },
  ])
})
