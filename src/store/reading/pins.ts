// Which layers are being read right now: those are not deleted, whatever the catalog says.

export interface Pins {
  /** Holds the layers until the returned function is called (idempotent). */
  pin(layerUuids: readonly string[]): () => void
  /** The layers held now. */
  held(): ReadonlySet<string>
}

/** @param onRelease called when a layer is no longer held by anybody */
export const createPins = (onRelease: () => void): Pins => {
  const counts = new Map<string, number>()
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
        if (isFree) onRelease()
      }
    },
    held: () => new Set(counts.keys()),
  }
}
