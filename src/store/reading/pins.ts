// Which layers are being read right now: those are not deleted, whatever the catalog says.

import pLimit from 'p-limit'

export interface Pins {
  /** Keeps the layers until the returned function is called (idempotent). */
  pin(layerUuids: readonly string[]): () => void

  /** The layers that are pinned now. */
  held(): ReadonlySet<string>

  /**
   * Runs `step` alone. Looking up layers and pinning them is one step; so is choosing which to
   * delete, and putting a layer onto another.
   */
  step<T>(step: () => Promise<T>): Promise<T>

  /** `listener` is called whenever the last pin of a layer is released. */
  whenReleased(listener: () => void): void
}

export const createPins = (): Pins => {
  const counts = new Map<string, number>()
  const listeners: (() => void)[] = []
  const oneAtATime = pLimit(1)
  return {
    pin(layerUuids) {
      for (const uuid of layerUuids) counts.set(uuid, (counts.get(uuid) ?? 0) + 1)
      let released = false
      return () => {
        if (released) return
        released = true
        let isFree = false
        for (const uuid of layerUuids) {
          const count = counts.get(uuid)! - 1
          if (count > 0) counts.set(uuid, count)
          else isFree = counts.delete(uuid) || isFree
        }
        if (isFree) for (const listener of listeners) listener()
      }
    },
    held: () => new Set(counts.keys()),
    step: (step) => oneAtATime(step),
    whenReleased: (listener) => void listeners.push(listener),
  }
}
