// One comparison: diskport and a peer do the same work in turns, and each pair gives one ratio.

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

/** Seconds of two runs, one right after the other. */
export interface Pair {
  readonly own: number
  readonly peer: number
}

const runOnce = async (contender: Contender): Promise<number> => {
  await contender.prepare?.()
  // What others have written must not be on its way to the disk while this one is timed.
  await timed('sync', [])
  const seconds = await contender.run()
  await contender.cleanUp?.()
  return seconds
}

/** `rounds` pairs with each peer, by the peer's name. Who goes first changes with each round. */
export const comparePairs = async (
  own: Contender,
  peers: readonly Contender[],
  rounds: number,
): Promise<Map<string, Pair[]>> => {
  const pairs = new Map<string, Pair[]>(peers.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of peers) {
      const first = round % 2 === 0 ? await runOnce(own) : undefined
      const peerSeconds = await runOnce(peer)
      const ownSeconds = first ?? (await runOnce(own))
      pairs.get(peer.name)!.push({ own: ownSeconds, peer: peerSeconds })
    }
  }
  return pairs
}

/** Of an even count the mean of the middle two; undefined of none. */
export const median = (values: readonly number[]): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  const low = sorted[Math.floor((sorted.length - 1) / 2)]
  const high = sorted[Math.floor(sorted.length / 2)]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}
