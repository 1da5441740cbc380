// One comparison: peers that do the same work take turns, and the best run of each counts.

import { timed } from './processes.ts'

export interface Contender {
  readonly name: string
  /** Makes room: not timed. */
  prepare?(): Promise<void>
  /** Seconds that the work took. */
  run(): Promise<number>
  /** Clears away: not timed. */
  cleanUp?(): Promise<void>
}

/**
 * The best of `rounds` runs of each, in seconds, by name. The order turns round with each round.
 */
export const compare = async (
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, number>> => {
  const best = new Map<string, number>()
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? contenders : contenders.toReversed()
    for (const contender of order) {
      await contender.prepare?.()
      // What others have written must not be on its way to the disk while this one is timed.
      await timed('sync', [])
      const seconds = await contender.run()
      best.set(contender.name, Math.min(seconds, best.get(contender.name) ?? Infinity))
      await contender.cleanUp?.()
    }
  }
  return best
}
