// The transfers that run: how many may at once, how each is cancelled, and how all end when the
// server stops. Knows neither disks nor HTTP.

import pLimit from 'p-limit'
import { throwIfAborted } from '../disk/disk.ts'
import { AppError } from '../errors.ts'

export interface Transfers {
  /**
   * Runs `work` as one transfer.
   * @param taskRef the task that cancels it, where there is one
   * @throws AppError TOO_BUSY when as many run as may, HOST_IS_SHUTTING_DOWN once draining has begun
   */
  run<T>(taskRef: string | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>

  /** Stops the transfers of a task; false where none runs. */
  cancel(taskRef: string): boolean

  /** How many run. */
  readonly running: number

  /** Takes no new ones, waits for those that run, and stops what is left after `milliseconds`. */
  drain(milliseconds: number): Promise<void>
}

/** @param maximum how many may run at once */
export const createTransfers = (maximum: number): Transfers => {
  const limit = pLimit(maximum)
  const running = new Set<{ taskRef: string | undefined; abort: AbortController }>()
  let draining = false
  let idle: (() => void) | undefined

  return {
    get running() {
      return running.size
    },
    async run(taskRef, work) {
      if (draining) throw new AppError('HOST_IS_SHUTTING_DOWN', [])
      // Waiting in line would hold a connection open in silence: the client is told to come again.
      if (limit.activeCount + limit.pendingCount >= maximum) throw new AppError('TOO_BUSY', [])
      const transfer = { taskRef, abort: new AbortController() }
      running.add(transfer)
      try {
        return await limit(async () => {
          throwIfAborted(transfer.abort.signal)
          return work(transfer.abort.signal)
        })
      } finally {
        running.delete(transfer)
        if (running.size === 0) idle?.()
      }
    },
    cancel(taskRef) {
      const found = [...running].filter((transfer) => transfer.taskRef === taskRef)
      for (const { abort } of found) abort.abort(new AppError('TASK_CANCELLED', [taskRef]))
      return found.length > 0
    },
    async drain(milliseconds) {
      draining = true
      if (running.size === 0) return
      const ended = new Promise<void>((resolve) => (idle = resolve))
      const timer = setTimeout(() => {
        for (const { abort } of running) abort.abort(new AppError('HOST_IS_SHUTTING_DOWN', []))
      }, milliseconds)
      await ended
      clearTimeout(timer)
    },
  }
}
