// News of the catalog: what was made, changed or taken away, told once it is there to be read. The
// parts of the catalog know nothing of it: announce.ts stands around them.

export type ObservedClass = 'pool' | 'host' | 'SM' | 'SR' | 'PBD' | 'VDI' | 'task' | 'user'

export interface Change {
  readonly className: ObservedClass
  readonly uuid: string
  readonly operation: 'add' | 'mod' | 'del'
}

export interface Changes {
  readonly emit: (className: ObservedClass, uuid: string, operation: Change['operation']) => void

  /**
   * `listener` is told of each change in order, and must not throw; the returned function ends
   * that.
   */
  subscribe(listener: (change: Change) => void): () => void
}

export const createChanges = (): Changes => {
  const listeners = new Set<(change: Change) => void>()
  return {
    emit(className, uuid, operation) {
      for (const listener of listeners) listener({ className, uuid, operation })
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
