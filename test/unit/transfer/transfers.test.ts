import { describe, expect, test } from 'vitest'
import { createLeases } from '../../../src/transfer/leases.ts'
import { createTransfers } from '../../../src/transfer/transfers.ts'

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

describe('transfers', () => {
  test('as many run as may; one more is told to come again', async () => {
    const transfers = createTransfers(2)
    const gate = Promise.withResolvers<string>()
    const first = transfers.run(undefined, () => gate.promise)
    const second = transfers.run(undefined, () => gate.promise)
    await expect(transfers.run(undefined, async () => 'third')).rejects.toMatchObject({
      code: 'TOO_BUSY',
    })
    expect(transfers.running).toBe(2)
    gate.resolve('done')
    expect(await Promise.all([first, second])).toEqual(['done', 'done'])
    expect(await transfers.run(undefined, async () => 'third')).toBe('third')
    expect(transfers.running).toBe(0)
  })

  test('a task cancels its own transfers and no others', async () => {
    const transfers = createTransfers(3)
    const mine = transfers.run('mine', untilAborted)
    const other = transfers.run('other', untilAborted)
    expect(transfers.cancel('unknown')).toBe(false)
    expect(transfers.cancel('mine')).toBe(true)
    await expect(mine).rejects.toMatchObject({ code: 'TASK_CANCELLED', params: ['mine'] })
    expect(transfers.running).toBe(1)
    transfers.cancel('other')
    await expect(other).rejects.toMatchObject({ code: 'TASK_CANCELLED' })
  })

  test('draining takes no new ones, waits for those that run, then stops what is left', async () => {
    const transfers = createTransfers(3)
    const gate = Promise.withResolvers<string>()
    const quick = transfers.run(undefined, () => gate.promise)
    const endless = transfers.run(undefined, untilAborted)
    const drained = transfers.drain(1)
    await expect(transfers.run(undefined, async () => '')).rejects.toMatchObject({
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
      expect.objectContaining({ code: 'OTHER_OPERATION_IN_PROGRESS', params: ['VDI', 'a'] }),
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
