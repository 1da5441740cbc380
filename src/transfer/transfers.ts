// The transfers that run: which may be open, when each may work, how each is cancelled, and how all
// end when the server stops. Knows neither disks nor HTTP.

import { throwIfAborted } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import type { Occupant } from './open-places.ts'
import { createOpenPlaces } from './open-places.ts'
import type { Turn } from './turns.ts'
import { createTurns } from './turns.ts'

/** Whose work it is. */
interface Worker {
  /** The task that cancels it; it may come while the work runs. */
  readonly ref?: string | undefined
  /** Between users places and turns are shared evenly. Absent: the server's own work. */
  readonly user?: string | undefined
}

/** What the work of a transfer is given. */
export interface Transfer {
  /**
   * Aborted when it is cancelled, when it has to make room for another, or when the server stops.
   */
  readonly signal: AbortSignal
  /** Ends with the work. */
  readonly turn: Turn
  /**
   * Takes one of the places for open transfers, and then a turn. To be called when nothing is left
   * that could be refused, before the first byte.
   * @throws AppError TOO_BUSY, see OpenPlaces; the reason of `signal`
   */
  readonly open: () => Promise<void>
}

export interface Transfers {
  /**
   * Runs `work`, which opens the transfer once it knows that there will be one.
   * @throws AppError HOST_IS_SHUTTING_DOWN once draining has begun
   */
  run<T>(worker: Worker, work: (transfer: Transfer) => Promise<T>): Promise<T>

  /** Stops the transfers of a task; false where none runs. */
  cancel(taskRef: string): boolean

  /** Running transfers, including those that are not open yet. */
  readonly running: number

  /** Open transfers. */
  readonly open: number

  /**
   * Accepts no new transfers, waits for the running ones, and stops the rest after `milliseconds`.
   */
  drain(milliseconds: number): Promise<void>
}

interface TransferOptions {
  /** The number that may be open at once; most of them wait for their clients. */
  readonly maximumOpen?: number
  /** A clock in milliseconds. */
  readonly now?: () => number
}

interface Running {
  readonly worker: Worker
  readonly abort: AbortController
}

/**
 * @param maximumBusy how many may work at once, while the others wait for their turn or for their
 *   clients
 */
export const createTransfers = (
  maximumBusy: number,
  { maximumOpen = 1000, now = () => performance.now() }: TransferOptions = {},
): Transfers => {
  const turns = createTurns(maximumBusy, now)
  const places = createOpenPlaces(maximumOpen, now)
  const running = new Set<Running>()
  let draining = false
  let idle: (() => void) | undefined

  return {
    get running() {
      return running.size
    },
    get open() {
      return places.size
    },
    async run(worker, work) {
      if (draining) throw new AppError('HOST_IS_SHUTTING_DOWN', [])
      const abort = new AbortController()
      const { signal } = abort
      const user = worker.user ?? ''
      const turn = turns.turn(user)
      const occupant: Occupant = {
        user,
        get pausedSince() {
          return turn.pausedSince
        },
        evict: (reason) => abort.abort(reason),
      }
      const entry = { worker, abort }
      running.add(entry)
      const open = async (): Promise<void> => {
        throwIfAborted(signal)
        places.take(occupant)
        await turn.take(signal)
      }
      try {
        return await work({ signal, turn, open })
      } finally {
        turn.end()
        places.giveBack(occupant)
        running.delete(entry)
        if (running.size === 0) idle?.()
      }
    },
    cancel(taskRef) {
      const found = [...running].filter(({ worker }) => worker.ref === taskRef)
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
