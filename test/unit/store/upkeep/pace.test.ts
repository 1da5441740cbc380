// The pace of merging: bytes a second.

import { expect, test } from 'vitest'
import { AppError } from '../../../../src/errors.ts'
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
