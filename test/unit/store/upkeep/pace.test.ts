import { expect, test } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
import { createLayerLocks } from '../../../../src/store/reading/layer-locks.ts'
import { createPace } from '../../../../src/store/upkeep/pace.ts'

test('bytes go at the pace; what was not used is not saved up', async () => {
  let time = 1000
  const slept: number[] = []
  const pace = createPace({
    bytesPerSecond: 1000,
    now: () => time,
    sleep: async (milliseconds) => {
      slept.push(milliseconds)
      time += milliseconds
    },
  })
  const { signal } = new AbortController()
  await pace.take(500, signal)
  await pace.take(250, signal)
  await pace.take(1000, signal)
  expect(slept).toEqual([500, 250])
  time += 60_000
  await pace.take(100, signal)
  await pace.take(100, signal)
  expect(slept).toEqual([500, 250, 100])
})

test('who is stopped while he waits throws the reason', async () => {
  const pace = createPace({ bytesPerSecond: 1 })
  const job = new AbortController()
  await pace.take(3600, job.signal)
  const waiting = pace.take(1, job.signal)
  job.abort(new AppError('HOST_IS_SHUTTING_DOWN', []))
  await expect(waiting).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
  await expect(pace.take(1, job.signal)).rejects.toMatchObject({ code: 'HOST_IS_SHUTTING_DOWN' })
})

test('a layer is replaced when nobody is opening it, and nobody opens it meanwhile', async () => {
  const locks = createLayerLocks()
  const events: string[] = []
  const step = (name: string) => {
    let end = (): void => {}
    const ended = new Promise<void>((resolve) => (end = resolve))
    const run = async (): Promise<void> => {
      events.push(`${name} begins`)
      await ended
      events.push(`${name} ends`)
    }
    return { run, end }
  }
  const [first, second, replace, late, other] = ['1', '2', 'replace', 'late', 'other'].map(step)
  const all = [
    locks.opening('a', first!.run),
    locks.opening('a', second!.run),
    locks.replacing('a', replace!.run),
    locks.opening('a', late!.run),
    locks.opening('b', other!.run),
  ]
  second!.end()
  other!.end()
  await all[4]
  first!.end()
  await all[0]
  replace!.end()
  await all[2]
  late!.end()
  await Promise.all(all)
  const order = events.filter((event) => !event.startsWith('other'))
  expect(order.slice(0, 2)).toEqual(['1 begins', '2 begins'])
  expect(order.slice(4)).toEqual(['replace begins', 'replace ends', 'late begins', 'late ends'])
})

test('a failure of one is no concern of the others', async () => {
  const locks = createLayerLocks()
  const broken = () => Promise.reject(new Error('broken'))
  const opening = locks.opening('a', broken)
  const replacing = locks.replacing('a', broken)
  const late = locks.opening('a', async () => 'opened')
  await expect(opening).rejects.toThrow('broken')
  await expect(replacing).rejects.toThrow('broken')
  expect(await late).toBe('opened')
})
