import { describe, expect, test } from 'vitest'
import { createLeases } from '../../../src/transfer/leases.ts'
import { createTransfers } from '../../../src/transfer/transfers.ts'

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

const root = { user: 'root' }

describe('transfers', () => {
  test('more may be open than busy: those wait for their turn and are not refused', async () => {
    const transfers = createTransfers(1)
    const gate = Promise.withResolvers<string>()
    const begun: number[] = []
    const all = [0, 1, 2].map((index) =>
      transfers.run(root, async ({ open }) => {
        await open()
        begun.push(index)
        return gate.promise
      }),
    )
    await new Promise(setImmediate)
    expect([transfers.running, transfers.open, begun]).toEqual([3, 3, [0]])
    gate.resolve('done')
    expect(await Promise.all(all)).toEqual(['done', 'done', 'done'])
    expect([transfers.running, transfers.open, begun]).toEqual([0, 0, [0, 1, 2]])
  })

  test('what opens nothing takes no place', async () => {
    const transfers = createTransfers(1, { maximumOpen: 1 })
    const gate = Promise.withResolvers<void>()
    const holder = transfers.run(root, async ({ open }) => {
      await open()
      await gate.promise
    })
    expect(await transfers.run(root, async () => 'a head')).toBe('a head')
    const refused = transfers.run(root, ({ open }) => open())
    await expect(refused).rejects.toMatchObject({ code: 'TOO_BUSY' })
    gate.resolve()
    await holder
    await transfers.run(root, ({ open }) => open())
    expect([transfers.running, transfers.open]).toEqual([0, 0])
  })

  test('a stalled one is told why it had to make room', async () => {
    let time = 0
    const transfers = createTransfers(1, { maximumOpen: 1, now: () => time })
    const stalled = transfers.run({ user: 'a' }, async ({ open, turn, signal }) => {
      await open()
      turn.pause()
      return untilAborted(signal)
    })
    stalled.catch(() => {})
    await new Promise(setImmediate)
    time = 75_000
    await transfers.run({ user: 'b' }, ({ open }) => open())
    await expect(stalled).rejects.toMatchObject({
      code: 'TOO_BUSY',
      message: 'The client took or sent nothing for 75 s, and another transfer needs the place',
    })
    expect([transfers.running, transfers.open]).toEqual([0, 0])
  })

  test('a task cancels its own transfers and no others, also one that waits for its turn', async () => {
    const transfers = createTransfers(1)
    const other = transfers.run({ ref: 'other' }, async ({ open, signal }) => {
      await open()
      return untilAborted(signal)
    })
    const mine = transfers.run({ ref: 'mine' }, ({ open }) => open())
    expect(transfers.cancel('unknown')).toBe(false)
    expect(transfers.cancel('mine')).toBe(true)
    await expect(mine).rejects.toMatchObject({ code: 'TASK_CANCELLED', params: ['mine'] })
    expect(transfers.running).toBe(1)
    transfers.cancel('other')
    await expect(other).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
    expect([transfers.running, transfers.open]).toEqual([0, 0])
  })

  test('a task that came while the work ran cancels it too', async () => {
    const transfers = createTransfers(1)
    const worker: { ref?: string } = {}
    const running = transfers.run(worker, ({ signal }) => untilAborted(signal))
    expect(transfers.cancel('late')).toBe(false)
    worker.ref = 'late'
    expect(transfers.cancel('late')).toBe(true)
    await expect(running).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })

  test('draining takes no new ones, waits for those that run, then stops what is left', async () => {
    const transfers = createTransfers(3)
    const gate = Promise.withResolvers<string>()
    const quick = transfers.run(root, () => gate.promise)
    const endless = transfers.run(root, ({ signal }) => untilAborted(signal))
    const drained = transfers.drain(1)
    await expect(transfers.run(root, async () => '')).rejects.toMatchObject({
      code: 'HOST_IS_SHUTTING_DOWN',
    })
    await expect(endless).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
    gate.resolve('quick')
    expect(await quick).toBe('quick')
    await drained
    expect(transfers.running).toBe(0)
  })

  test('draining an idle server returns at once', async () => {
    await expect(createTransfers(1).drain(1_000_000)).resolves.toBeUndefined()
  })
})

describe('leases', () => {
  test('one holder a VDI, until it is given back', () => {
    const leases = createLeases()
    const release = leases.take('a', 'OpaqueRef:task')
    expect(leases.holder('a')).toBe('OpaqueRef:task')
    expect(() => leases.take('a', 'x')).toThrow(
      expect.objectContaining({
        code: 'OTHER_OPERATION_IN_PROGRESS',
        params: ['VDI', 'OpaqueRef:a'],
      }),
    )
    const other = leases.take('b', 'x')
    release()
    const again = leases.take('a', 'y')
    release()
    expect(leases.holder('a')).toBe('y')
    again()
    other()
    expect([leases.holder('a'), leases.holder('b')]).toEqual([undefined, undefined])
  })
})
