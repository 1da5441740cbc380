// News of the catalog: what was made, changed or taken away, told once it is there to be read. The
// transactions tell it (transaction.ts); what lives in memory alone is told by whoever keeps it.

export type ObservedClass =
  'pool' | 'host' | 'SM' | 'SR' | 'PBD' | 'VDI' | 'VM' | 'VBD' | 'VIF' | 'network' | 'task' | 'user'

type ChangeOperation = 'add' | 'mod' | 'del'

export interface Change {
  readonly className: ObservedClass
  readonly uuid: string
  readonly operation: ChangeOperation
}

export interface Changes {
  readonly emit: (className: ObservedClass, uuid: string, operation: ChangeOperation) => void

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

/** The changes of one transaction, at most one for each object, in the order of the first. */
export interface Touches {
  readonly touch: (className: ObservedClass, uuid: string, operation?: ChangeOperation) => void
  readonly list: () => readonly Change[]
}

export const createTouches = (): Touches => {
  const touched = new Map<string, Change>()
  return {
    touch(className, uuid, next = 'mod') {
      const key = `${className} ${uuid}`
      const operation = combined(touched.get(key)?.operation, next)
      if (operation === undefined) touched.delete(key)
      else touched.set(key, { className, uuid, operation })
    },
    list: () => [...touched.values()],
  }
}

/** What two changes of one object come to; undefined: it was made and has gone again. */
const combined = (
  first: ChangeOperation | undefined,
  next: ChangeOperation,
): ChangeOperation | undefined => {
  if (first === 'add') return next === 'del' ? undefined : 'add'
  if (first === 'del') return next === 'add' ? 'mod' : 'del'
  return next
}
