// Keeps a layer's file and its map in step: opening the one and asking for the other is one step,
// during which the file is not replaced. Reading needs no lock: an open file stays what it is.

export interface LayerLocks {
  /** Runs `step` beside others of its kind, not while the layer is being replaced. */
  opening<T>(layerUuid: string, step: () => Promise<T>): Promise<T>
  /** Runs `step` alone. Those who come later wait for it. One at a time for each layer. */
  replacing<T>(layerUuid: string, step: () => Promise<T>): Promise<T>
}

export const createLayerLocks = (): LayerLocks => {
  const opening = new Map<string, Set<Promise<unknown>>>()
  const replacing = new Map<string, Promise<unknown>>()

  const settled = (step: Promise<unknown>): Promise<unknown> => step.catch(() => {})

  return {
    async opening(uuid, step) {
      for (let other = replacing.get(uuid); other !== undefined; other = replacing.get(uuid)) {
        await settled(other)
      }
      const others = opening.get(uuid) ?? new Set()
      opening.set(uuid, others)
      const mine = step()
      others.add(mine)
      try {
        return await mine
      } finally {
        others.delete(mine)
        if (others.size === 0) opening.delete(uuid)
      }
    },
    async replacing(uuid, step) {
      const alone = async () => {
        await Promise.all([...(opening.get(uuid) ?? [])].map(settled))
        return step()
      }
      const mine = alone()
      replacing.set(uuid, mine)
      try {
        return await mine
      } finally {
        replacing.delete(uuid)
      }
    },
  }
}
