// What the destination has decided is done here, whatever goes wrong on the way.

import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import type { Destination } from '../../../../src/operations/moves/destination.ts'
import { settleMove } from '../../../../src/operations/moves/settle-move.ts'
import { RemoteCutError } from '../../../../src/remote/remote-errors.ts'
import { createTestContent } from '../../../support/content.ts'

const move = {
  uuid: '11111111-2222-4333-8444-555555555555',
  vmUuid: '21111111-2222-4333-8444-555555555555',
  sentVdis: [],
  taskRef: undefined,
}
const there = '31111111-2222-4333-8444-555555555555'

/** Throws the errors one after the other, then answers. */
const failing = <T>(errors: readonly Error[], answer: T) => {
  const left = [...errors]
  let calls = 0
  return {
    calls: () => calls,
    call: async (): Promise<T> => {
      calls += 1
      const error = left.shift()
      if (error !== undefined) throw error
      return answer
    },
  }
}

const destinationOf = (changes: Partial<Destination>): Destination =>
  ({ host: 'there', commit: async () => there, forget: async () => {}, ...changes }) as Destination

const start = async (moves: {
  readonly finish?: () => Promise<readonly string[]>
  readonly forget?: () => Promise<void>
}) => {
  const { context } = await createTestContent()
  const { catalog } = context
  const outgoingMoves = { ...catalog.outgoingMoves, ...moves }
  return { ...context, catalog: { ...catalog, outgoingMoves } }
}

const full = new Error('SQLITE_FULL: database or disk is full')

describe('a move whose end cannot be written', () => {
  test('is tried again until the VM has gone', async () => {
    const finish = failing([full, full], [])
    const context = await start({ finish: finish.call })
    expect(await settleMove(context, destinationOf({}), move)).toBe(there)
    expect(finish.calls()).toBe(3)
  })

  test('is tried again until the VM is free, where the destination refused', async () => {
    const forget = failing([full], undefined)
    const context = await start({ forget: forget.call })
    const destination = destinationOf({
      commit: async () => {
        throw new AppError('DUPLICATE_VM', [there])
      },
      outcome: async () => ({ state: 'unknown', vmUuid: null }),
    })
    await expect(settleMove(context, destination, move)).rejects.toMatchObject({
      code: 'DUPLICATE_VM',
    })
    expect(forget.calls()).toBe(2)
  })

  test('is left to the next start where the server stops', async () => {
    const finish = failing<readonly string[]>(
      Array.from({ length: 99 }, () => full),
      [],
    )
    const context = await start({
      finish: async () => {
        void context.transfers.drain(0)
        return finish.call()
      },
    })
    await expect(settleMove(context, destinationOf({}), move)).rejects.toMatchObject({
      code: 'HOST_IS_SHUTTING_DOWN',
    })
    expect(finish.calls()).toBe(1)
  })
})

test('the destination is asked again where the connection breaks', async () => {
  const commit = failing([new RemoteCutError('there', 'cut')], there)
  const context = await start({ finish: async () => [] })
  expect(await settleMove(context, destinationOf({ commit: commit.call }), move)).toBe(there)
  expect(commit.calls()).toBe(2)
})
