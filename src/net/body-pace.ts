// The slowest pace of the body of a call: a few kilobytes, from a sender who is not known
// yet. Uploads have a pace of their own.

import { KiB } from '../units.ts'

export interface BodyPace {
  /** How long any body may take, in milliseconds. */
  readonly grace: number
  /** A longer one must come at this rate from its beginning, in bytes a second. */
  readonly rate: number
}

/** 1 MiB, the longest there is, may take 74 s. */
const defaultPace: BodyPace = { grace: 10_000, rate: 16 * KiB }

/**
 * @param received bytes of the body so far
 * @param onLate called once, when the body is later than the pace allows
 * @returns what ends the watch
 */
export const watchPace = (
  received: () => number,
  onLate: () => void,
  { grace, rate }: BodyPace = defaultPace,
): (() => void) => {
  const begun = performance.now()
  const check = (): void => {
    const allowed = grace + (received() / rate) * 1000
    const left = begun + allowed - performance.now()
    if (left > 0) timer = setTimeout(check, left)
    else onLate()
  }
  let timer = setTimeout(check, grace)
  return () => clearTimeout(timer)
}
