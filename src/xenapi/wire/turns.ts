// One job at a time, and networks take turns: many jobs of one do not keep another waiting.
// read-xml.ts uses it.

import { createFairQueue } from '../../fair-queue.ts'

type InTurn = <T>(network: string, job: () => Promise<T>) => Promise<T>

export const createTurns = (): InTurn => {
  // What waits is bounded by those who ask: each call waits with its text.
  const queue = createFairQueue<() => Promise<void>>({
    maximum: Infinity,
    maximumOfGroup: Infinity,
  })
  let isBusy = false
  const startNext = (): void => {
    const next = isBusy ? undefined : queue.take()
    if (next === undefined) return
    isBusy = true
    void next().finally(() => {
      isBusy = false
      startNext()
    })
  }
  return (network, job) =>
    new Promise((resolve, reject) => {
      queue.add([network], () => job().then(resolve, reject))
      startNext()
    })
}
