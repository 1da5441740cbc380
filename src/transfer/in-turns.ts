// Comparisons of content as work that takes turns with the transfers: they read as much, and may
// take as long. Exports and lists of what differs hand this to the deltas.

import type { InTurns } from '../store/reading/deltas.ts'
import type { Transfers } from './transfers.ts'

/**
 * Each comparison takes an open place and turns of its own: whoever waits for it needs none
 * meanwhile.
 * @param user who asked for it first
 */
export const inTurnsOf =
  (transfers: Transfers, user: string | undefined): InTurns =>
  (work, stop) =>
    transfers.run({ user }, async ({ signal, turn, open }) => {
      const either = stop === undefined ? signal : AbortSignal.any([signal, stop])
      await open()
      return work((bytes) => turn.step(bytes, either))
    })
