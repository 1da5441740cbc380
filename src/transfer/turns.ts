// Who may be busy now: a few places for work that is done a piece at a time, given out in turns, to
// one user after the other. Made by transfers.ts; knows neither transfers nor clients.

import { throwIfAborted } from '../disk/disk.ts'
import { MiB } from '../units.ts'

/** Bytes that a transfer may move while others wait, before it is their turn. */
const sliceSize = 4 * MiB

/** Returns undefined if nothing has to be waited for, so undisturbed work needs no promise. */
export interface Turn {
  /**
   * Takes a place, or waits for one. Harmless where it has one.
   * @throws the reason of `signal`; TurnEndedError
   */
  take(signal?: AbortSignal): Promise<void> | undefined

  /**
   * Before the next `bytes` are moved: where others wait and enough was done, they come first.
   * Throws like `take`.
   */
  step(bytes: number, signal?: AbortSignal): Promise<void> | undefined

  /**
   * Nothing can be done until the client takes or sends something: who needs the place may have it.
   * `take` ends this.
   */
  pause(): void

  /** By the clock given to createTurns; undefined where it is not paused. */
  readonly pausedSince: number | undefined

  /** How long it has been paused in all, in milliseconds. */
  readonly pausedTime: number

  /** Gives up its place for good; a wait for one ends. Idempotent. */
  end(): void
}

interface Turns {
  /** @param user whose work it is: users take turns first, then the work of each */
  turn(user: string): Turn

  /** Transfers that hold a place, including paused ones. */
  readonly busy: number

  /** Transfers that wait for a place. */
  readonly waiting: number
}

/** Of a wait that went on when all else had ended: nobody is told. */
class TurnEndedError extends Error {
  constructor() {
    super('The turn has ended')
  }
}

/**
 * @param places how many may be busy at once
 * @param now in milliseconds
 */
export const createTurns = (places: number, now: () => number = () => performance.now()): Turns => {
  const line = createLine()
  const paused = new Set<PlaceTurn>()
  let busy = 0

  const desk: Desk = {
    tryTake() {
      if (busy < places) {
        busy += 1
        return true
      }
      // Those who are paused have been asked for their places in the order in which they paused.
      const [idle] = paused
      if (idle === undefined) return false
      paused.delete(idle)
      idle.lose()
      return true
    },
    giveBack() {
      const next = line.shift()
      if (next === undefined) busy -= 1
      else next.win()
    },
    paused,
    line,
    now,
  }
  return {
    turn: (user) => new PlaceTurn(user, desk),
    get busy() {
      return busy
    },
    get waiting() {
      return line.length
    },
  }
}

/**
 * What all turns share. Where somebody stands in the line, all places are held and nobody is
 * paused.
 */
interface Desk {
  /** Takes a place that is free or whose holder is paused. */
  tryTake(): boolean
  /** Hands a place to the next in line, or keeps it free. */
  giveBack(): void
  readonly paused: Set<PlaceTurn>
  readonly line: Line
  readonly now: () => number
}

interface Wait {
  readonly won: () => void
  readonly ended: (reason: Error) => void
}

class PlaceTurn implements Turn {
  readonly user: string
  readonly #desk: Desk
  #state: 'out' | 'waiting' | 'busy' | 'paused' | 'ended' = 'out'
  #wait: Wait | undefined
  /** Bytes moved since others began to wait. */
  #moved = 0
  #pausedSince: number | undefined
  #pausedTime = 0

  constructor(user: string, desk: Desk) {
    this.user = user
    this.#desk = desk
  }

  get pausedSince(): number | undefined {
    return this.#pausedSince
  }

  get pausedTime(): number {
    const since = this.#pausedSince
    return this.#pausedTime + (since === undefined ? 0 : this.#desk.now() - since)
  }

  take(signal?: AbortSignal): Promise<void> | undefined {
    this.#pausedTime = this.pausedTime
    this.#pausedSince = undefined
    if (this.#state === 'busy') return undefined
    if (this.#state === 'paused') {
      this.#desk.paused.delete(this)
      this.#state = 'busy'
      return undefined
    }
    if (this.#state === 'ended') return Promise.reject(new TurnEndedError())
    if (this.#desk.tryTake()) {
      this.#state = 'busy'
      return undefined
    }
    return this.#standInLine(signal)
  }

  step(bytes: number, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#desk.line.length === 0) {
      this.#moved = 0
      return undefined
    }
    this.#moved += bytes
    if (this.#state !== 'busy' || this.#moved < sliceSize) return undefined
    this.#moved = 0
    this.#state = 'out'
    this.#desk.giveBack()
    return this.take(signal)
  }

  pause(): void {
    if (this.#state === 'ended') return
    this.#pausedSince ??= this.#desk.now()
    if (this.#state !== 'busy') return
    if (this.#desk.line.length > 0) {
      this.#state = 'out'
      this.#desk.giveBack()
      return
    }
    this.#state = 'paused'
    this.#desk.paused.add(this)
  }

  end(): void {
    const state = this.#state
    this.#state = 'ended'
    this.#pausedSince = undefined
    this.#desk.paused.delete(this)
    if (state === 'busy' || state === 'paused') this.#desk.giveBack()
    if (state !== 'waiting') return
    this.#desk.line.remove(this)
    this.#wait?.ended(new TurnEndedError())
  }

  /** The place goes to another while this one is paused. */
  lose(): void {
    this.#state = 'out'
  }

  /** The place of another comes to this one, which is first in line. */
  win(): void {
    this.#state = 'busy'
    this.#wait?.won()
  }

  async #standInLine(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    this.#state = 'waiting'
    this.#desk.line.add(this)
    const leave = (): void => {
      if (this.#state !== 'waiting') return
      this.#state = 'out'
      this.#desk.line.remove(this)
      this.#wait?.won()
    }
    signal?.addEventListener('abort', leave, { once: true })
    try {
      await new Promise<void>((won, ended) => (this.#wait = { won, ended }))
    } finally {
      signal?.removeEventListener('abort', leave)
      this.#wait = undefined
    }
    throwIfAborted(signal)
  }
}

interface Line {
  readonly length: number
  add(turn: PlaceTurn): void
  remove(turn: PlaceTurn): void
  /** The first of the user whose turn it is; the user's others then wait for all other users. */
  shift(): PlaceTurn | undefined
}

const createLine = (): Line => {
  // In the order of insertion: the first user is the next one.
  const users = new Map<string, Set<PlaceTurn>>()
  let length = 0

  const remove = (turn: PlaceTurn): void => {
    const turns = users.get(turn.user)
    if (turns?.delete(turn) !== true) return
    length -= 1
    if (turns.size === 0) users.delete(turn.user)
  }
  return {
    get length() {
      return length
    },
    add(turn) {
      const turns = users.get(turn.user)
      if (turns === undefined) users.set(turn.user, new Set([turn]))
      else turns.add(turn)
      length += 1
    },
    remove,
    shift() {
      const [first] = users
      if (first === undefined) return undefined
      const [user, turns] = first
      const [turn] = turns
      if (turn === undefined) return undefined
      remove(turn)
      if (turns.size > 0) {
        users.delete(user)
        users.set(user, turns)
      }
      return turn
    },
  }
}
