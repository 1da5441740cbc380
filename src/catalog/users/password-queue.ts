// Whose password is worked out next. The work is slow on purpose, so whoever guesses must not keep
// others from their turn: networks take turns, users in each, and connections of each.
// password-hash.ts does the work.

import { AppError } from '../../errors.ts'
import { createFairQueue } from '../../fair-queue.ts'

/** Who shows a password. */
export interface Asker {
  /** The address, or what stands for the addresses that one sender has. */
  readonly network: string
  /**
   * Names the connection: of one that asks many times at once, one password waits. Empty: it has
   * none.
   */
  readonly connection: string
}

interface PasswordQueue {
  /** @throws AppError TOO_BUSY where too many wait; what the job throws */
  run<T>(asker: Asker, userName: string, job: () => Promise<T>): Promise<T>
}

/** The server itself, and users who are known already. */
export const knownAsker: Asker = { network: '', connection: '' }

/** Passwords at a time: they share libuv's four threads with all reads and writes of disks. */
const CONCURRENCY = 2

/** How many may wait. The last of a network waits about 13 s, at a fifth of a second for each. */
const limits = { maximum: 256, maximumOfGroup: 128 }

interface Waiting {
  start(): Promise<void>
  refuse(): void
}

export const createPasswordQueue = (): PasswordQueue => {
  const queue = createFairQueue<Waiting>(limits)
  /** Connections that have a password waiting. */
  const connections = new Set<string>()
  let running = 0
  const startNext = (): void => {
    while (running < CONCURRENCY) {
      const next = queue.take()
      if (next === undefined) return
      running += 1
      void next.start().finally(() => {
        running -= 1
        startNext()
      })
    }
  }
  return {
    run: ({ network, connection }, userName, job) =>
      new Promise((resolve, reject) => {
        if (connections.has(connection)) {
          reject(tooBusy('Another login of this connection is waiting, try again later'))
          return
        }
        if (connection !== '') connections.add(connection)
        const leave = (): void => void connections.delete(connection)
        const left = queue.add([network, userName, connection], {
          start() {
            leave()
            return job().then(resolve, reject)
          },
          refuse() {
            leave()
            reject(tooBusy('Too many logins at a time, try again later'))
          },
        })
        left?.refuse()
        startNext()
      }),
  }
}

const tooBusy = (message: string): AppError => new AppError('TOO_BUSY', [], { message })
