// Limits background work to a number of bytes a second, for all of it together.

import { setTimeout as sleepFor } from 'node:timers/promises'
import { throwIfAborted } from '../../disk/disk.ts'

export interface Pace {
  /** Returns when that many more bytes may be moved. @throws AppError when aborted */
  take(bytes: number, signal: AbortSignal): Promise<void>
}

/** Waits that many milliseconds. @throws what the signal was aborted with */
type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<void>

interface PaceOptions {
  readonly bytesPerSecond: number
  /** The clock, in milliseconds. */
  readonly now?: () => number
  readonly sleep?: Sleep
}

export const createPace = ({
  bytesPerSecond,
  now = () => performance.now(),
  sleep = sleepUnlessAborted,
}: PaceOptions): Pace => {
  /** When all that was taken so far will have been paid for. */
  let paidAt = 0
  return {
    async take(bytes, signal) {
      throwIfAborted(signal)
      const time = now()
      const wait = paidAt - time
      paidAt = Math.max(paidAt, time) + (bytes / bytesPerSecond) * 1000
      if (wait > 0) await sleep(wait, signal)
    },
  }
}

const sleepUnlessAborted: Sleep = async (milliseconds, signal) => {
  try {
    await sleepFor(milliseconds, undefined, { signal, ref: false })
  } catch (error) {
    throwIfAborted(signal)
    throw error
  }
}
