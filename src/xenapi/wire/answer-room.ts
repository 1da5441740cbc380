// How much of large answers may be under way in the whole server: few are made at once, and new
// ones wait while too many bytes of others have not left. Fair by user; who waits too long hears
// TOO_BUSY.

import { throwIfAborted } from '../../disk/disk.ts'
import { AppError } from '../../errors.ts'
import { formatBytes, MiB } from '../../units.ts'

interface AnswerRoomOptions {
  /** The number of large answers that are made at once. */
  readonly places?: number
  /** Bytes of answers under way from which on no other is begun. */
  readonly bytes?: number
  /** The same for those of one user. */
  readonly bytesOfUser?: number
  /** The number of calls that may wait, in all and of one user. */
  readonly waiting?: number
  readonly waitingOfUser?: number
  /** How long one waits, in milliseconds. */
  readonly patience?: number
}

const defaults: Required<AnswerRoomOptions> = {
  places: 4,
  bytes: 64 * MiB,
  bytesOfUser: 32 * MiB,
  waiting: 256,
  waitingOfUser: 64,
  // Longer than a client may read nothing, so a call outlives the stalled client it waits for.
  patience: 45_000,
}

export interface AnswerRoom {
  /** Begins an answer: asks for nothing yet. */
  begin(signal?: AbortSignal): AnswerWork
}

/** One answer, from its call until it has left. */
export interface AnswerWork {
  /** Says whose answer it is. */
  user(uuid: string): void
  /**
   * Waits for a place to make a large answer. One place does for all calls of a batch.
   * @throws AppError TOO_BUSY; TASK_CANCELLED where the client has left meanwhile
   */
  enter(): Promise<void>
  /**
   * @throws AppError TOO_BUSY where the answer has become too large for another call in its batch
   */
  requireMore(): void
  /** Counts bytes that are held until `release`; fewer than none where some were dropped. */
  hold(bytes: number): void
  /** The answer is made: its place is free. Idempotent. */
  leave(): void
  /** It has been sent, or never will be. Idempotent; leaves too. */
  release(): void
}

/** What is under way for one user. */
interface Share {
  bytes: number
  places: number
  waiting: number
}

interface Waiter {
  readonly share: Share
  admit(): void
}

export const createAnswerRoom = (options: AnswerRoomOptions = {}): AnswerRoom => {
  const room = new Room({ ...defaults, ...options })
  return { begin: (signal) => new Work(room, signal) }
}

class Room {
  readonly limits: Required<AnswerRoomOptions>
  /** Of all together. */
  readonly #all: Share = { bytes: 0, places: 0, waiting: 0 }
  /** Of users for whom something is under way. */
  readonly #shares = new Map<string, Share>()
  /** In the order in which they came. */
  readonly #waiters = new Set<Waiter>()

  constructor(limits: Required<AnswerRoomOptions>) {
    this.limits = limits
  }

  shareOf(user: string): Share {
    const share = this.#shares.get(user) ?? { bytes: 0, places: 0, waiting: 0 }
    this.#shares.set(user, share)
    return share
  }

  add(share: Share, name: keyof Share, count: number): void {
    share[name] += count
    this.#all[name] += count
  }

  /** Forgets users with no work under way, and admits waiting calls that now fit. */
  settle(): void {
    for (let next = this.#nextWaiter(); next !== undefined; next = this.#nextWaiter()) next.admit()
    for (const [user, { bytes, places, waiting }] of this.#shares) {
      if (bytes + places + waiting === 0) this.#shares.delete(user)
    }
  }

  async enter(share: Share, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    if (!this.#fits(share) || this.#waiters.size > 0) await this.#wait(share, signal)
    else this.add(share, 'places', 1)
  }

  #fits(share: Share): boolean {
    const { places, bytes, bytesOfUser } = this.limits
    return this.#all.places < places && this.#all.bytes < bytes && share.bytes < bytesOfUser
  }

  /** The waiting call that fits and whose user has the least under way; the oldest of several. */
  #nextWaiter(): Waiter | undefined {
    let next: Waiter | undefined
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.share)) continue
      if (next === undefined || isLess(waiter.share, next.share)) next = waiter
    }
    return next
  }

  #wait(share: Share, signal: AbortSignal | undefined): Promise<void> {
    const { waiting, waitingOfUser, patience } = this.limits
    if (this.#all.waiting >= waiting || share.waiting >= waitingOfUser) return this.#refuse()
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', leave)
        this.#waiters.delete(waiter)
        this.add(share, 'waiting', -1)
      }
      const leave = (): void => {
        end()
        reject(new AppError('TASK_CANCELLED', [''], { cause: signal?.reason }))
      }
      const waiter: Waiter = {
        share,
        admit: () => {
          end()
          this.add(share, 'places', 1)
          resolve()
        },
      }
      const timer = setTimeout(() => {
        end()
        this.#refuse().catch(reject)
      }, patience)
      this.add(share, 'waiting', 1)
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', leave, { once: true })
      // Others may wait because of their own bytes, and not fit.
      this.settle()
    })
  }

  async #refuse(): Promise<never> {
    const { places, bytes } = this.#all
    const found = `${places} are being made, and ${formatBytes(bytes)} of others have not been read yet`
    throw new AppError('TOO_BUSY', [], {
      message: `There is no room for another large answer: ${found}. Read the answers to your calls, or try again later`,
    })
  }
}

const isLess = (one: Share, other: Share): boolean =>
  one.places < other.places || (one.places === other.places && one.bytes < other.bytes)

class Work implements AnswerWork {
  readonly #room: Room
  readonly #signal: AbortSignal | undefined
  #share: Share | undefined
  #held = 0
  #isIn = false
  #isReleased = false

  constructor(room: Room, signal: AbortSignal | undefined) {
    this.#room = room
    this.#signal = signal
  }

  /** The first user counts, because one sender sends the whole batch. */
  user(uuid: string): void {
    if (this.#share !== undefined || this.#isReleased) return
    this.#share = this.#room.shareOf(uuid)
    this.#room.add(this.#share, 'bytes', this.#held)
  }

  requireMore(): void {
    const { bytesOfUser } = this.#room.limits
    if (this.#held < bytesOfUser) return
    const found = `The answers to this batch have ${formatBytes(this.#held)} already`
    const message = `${found}, the limit is ${formatBytes(bytesOfUser)}: send fewer calls at once`
    throw new AppError('TOO_BUSY', [], { message })
  }

  async enter(): Promise<void> {
    if (this.#isIn) return
    this.user('')
    await this.#room.enter(this.#share!, this.#signal)
    this.#isIn = true
  }

  hold(bytes: number): void {
    if (this.#isReleased) return
    this.#held += bytes
    if (this.#share !== undefined) this.#room.add(this.#share, 'bytes', bytes)
  }

  leave(): void {
    if (!this.#isIn) return
    this.#isIn = false
    this.#room.add(this.#share!, 'places', -1)
    this.#room.settle()
  }

  release(): void {
    if (this.#isReleased) return
    this.leave()
    this.hold(-this.#held)
    this.#isReleased = true
    if (this.#share !== undefined) this.#room.settle()
  }
}
