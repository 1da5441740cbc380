// The stores of the storage repositories: which there are, and which of them are attached. Knows
// nothing of what lies in them.

import { handleInvalid } from '../../object-errors.ts'
import type { Store } from './store.ts'

export interface Stores {
  /** @throws AppError HANDLE_INVALID for a storage repository that is not known here */
  get(srUuid: string): Store

  /** The uuids of all storage repositories, those included whose folder is away. */
  list(): readonly string[]

  /** From now on the storage repository has this store. */
  attach(srUuid: string, store: Store): void

  /** The storage repository is forgotten here; what lies in it stays. */
  detach(srUuid: string): void

  /** `listener` is called for each storage repository that is detached. */
  whenDetached(listener: (srUuid: string) => void): void

  /** False: the folder of the storage repository is not there now. */
  isAttached(srUuid: string): boolean

  /** Whether its folder has been there at any time since it became known here. */
  wasAttached(srUuid: string): boolean
}

export const createStores = (): Stores => {
  const stores = new Map<string, Store>()
  const attachedOnce = new Set<string>()
  const listeners: ((srUuid: string) => void)[] = []
  return {
    get(srUuid) {
      const store = stores.get(srUuid)
      if (store === undefined) throw handleInvalid('SR', srUuid)
      return store
    },
    list: () => [...stores.keys()],
    attach(srUuid, store) {
      stores.set(srUuid, store)
      if (store.whyDetached === undefined) attachedOnce.add(srUuid)
    },
    detach(srUuid) {
      stores.delete(srUuid)
      attachedOnce.delete(srUuid)
      for (const listener of listeners) listener(srUuid)
    },
    whenDetached: (listener) => void listeners.push(listener),
    isAttached(srUuid) {
      const store = stores.get(srUuid)
      return store !== undefined && store.whyDetached === undefined
    },
    wasAttached: (srUuid) => attachedOnce.has(srUuid),
  }
}
