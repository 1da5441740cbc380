// How many transfers may be open, in all and of one user, and which must go when there are too
// many. transfers.ts asks it for each that begins.

import { AppError } from '../errors.ts'

/** Of all that may be open, how much one user may have: the rest is for others. */
const shareOfOneUser = 0.75

/**
 * How long a client must have taken or sent nothing before its transfer may be ended for a new one,
 * in milliseconds.
 */
const stalledAfter = 60_000

export interface Occupant {
  readonly user: string
  /**
   * Since when it has waited for its client, by the clock given to createOpenPlaces; undefined: it
   * does not.
   */
  readonly pausedSince: number | undefined
  /** Ends it. */
  evict(reason: AppError): void
}

interface OpenPlaces {
  readonly size: number

  /**
   * Takes a place. If no place is left, the transfer that has waited longest for its client is
   * ended: one of this user if the user has reached the limit; if all places are taken, one of the
   * user who has the most, and more than this user.
   * @throws AppError TOO_BUSY if no such transfer has waited for 60 s
   */
  take(occupant: Occupant): void

  /** Idempotent. */
  giveBack(occupant: Occupant): void
}

export const createOpenPlaces = (maximum: number, now: () => number): OpenPlaces => {
  const taken = new Set<Occupant>()
  const counts = new Map<string, number>()
  const maximumOfUser = Math.ceil(maximum * shareOfOneUser)

  const countOf = ({ user }: Occupant): number => counts.get(user) ?? 0
  const giveBack = (occupant: Occupant): void => {
    if (!taken.delete(occupant)) return
    const left = countOf(occupant) - 1
    if (left === 0) counts.delete(occupant.user)
    else counts.set(occupant.user, left)
  }
  const waited = ({ pausedSince }: Occupant): number =>
    pausedSince === undefined ? 0 : now() - pausedSince

  /**
   * Ends one of those that may go, of the user who has most; false where none has waited long
   * enough.
   */
  const makeRoom = (mayGo: (occupant: Occupant) => boolean): boolean => {
    const [stalled] = [...taken]
      .filter((occupant) => waited(occupant) >= stalledAfter && mayGo(occupant))
      .toSorted((a, b) => countOf(b) - countOf(a) || waited(b) - waited(a))
    if (stalled === undefined) return false
    const seconds = Math.floor(waited(stalled) / 1000)
    giveBack(stalled)
    const message = `The client took or sent nothing for ${seconds} s, and another transfer needs the place`
    stalled.evict(new AppError('TOO_BUSY', [], { message }))
    return true
  }

  return {
    get size() {
      return taken.size
    },
    take(occupant) {
      const own = countOf(occupant)
      const isOwn = ({ user }: Occupant): boolean => user === occupant.user
      if (own >= maximumOfUser && !makeRoom(isOwn)) {
        const found = `The user ${occupant.user} has ${own} open transfers of ${maximumOfUser} that one user may have`
        throw new AppError('TOO_BUSY', [], { message: `${found}: try again later` })
      }
      const hasMore = (other: Occupant): boolean => countOf(other) > own
      if (taken.size >= maximum && !makeRoom(hasMore)) {
        const message = `All ${maximum} places for open transfers are taken: try again later`
        throw new AppError('TOO_BUSY', [], { message })
      }
      taken.add(occupant)
      counts.set(occupant.user, countOf(occupant) + 1)
    },
    giveBack,
  }
}
