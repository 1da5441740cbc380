// The spools of one import: where bytes of the upload wait. All that wait on a storage repository
// take no more together than it can spare, and go with their imports, also where these fail before
// anybody reads them back.

import { AppError } from '../errors.ts'
import type { Spool } from '../image/spool.ts'
import type { Store } from '../store/files/store.ts'
import { formatBytes } from '../units.ts'
import type { TransferContext } from './context.ts'

export interface UploadSpools {
  /** On the storage repository that the import goes to. */
  open(srUuid: string): Promise<Spool>
  /** Closes those that are still open. */
  close(): Promise<void>
}

/** What waits on a storage repository, of all imports. */
interface Waiting {
  bytes: number
  /** The most that it may be; as of the spool that was opened last. */
  limit: number
  /** What was free then. */
  free: number
}

const waitingOn = new WeakMap<Store, Waiting>()

export const createUploadSpools = ({
  storage,
  spoolLimit = Infinity,
}: Pick<TransferContext, 'storage' | 'spoolLimit'>): UploadSpools => {
  const opened: Spool[] = []
  return {
    async open(srUuid) {
      const store = storage.stores.get(srUuid)
      const { size, used } = await store.space()
      const waiting = waitingOn.get(store) ?? { bytes: 0, limit: 0, free: 0 }
      waitingOn.set(store, waiting)
      waiting.free = Math.max(0, size - used)
      // What waits is written once more, as a layer, before it goes: it may take half.
      waiting.limit = (waiting.free + waiting.bytes) / 2
      const spool = boundSpool(await store.openSpool(), waiting, spoolLimit)
      opened.push(spool)
      return spool
    },
    async close() {
      await Promise.all(opened.map((spool) => spool.close()))
    },
  }
}

/** @param limit of this one, in bytes */
const boundSpool = (spool: Spool, waiting: Waiting, limit: number): Spool => {
  let taken = 0
  const take = (length: number): void => {
    if (taken + length > limit) {
      const found = `more than ${taken} bytes of the upload wait for its end`
      const message = `The upload cannot be stored: ${found}, --spool-limit is ${formatBytes(limit)}`
      throw new AppError('SR_FULL', [String(taken + length), String(limit)], { message })
    }
    const { bytes, free } = waiting
    if (bytes + length > waiting.limit) {
      const others = bytes > taken ? `, and ${formatBytes(bytes - taken)} of others` : ''
      const found = `more than ${taken} bytes of the upload wait for its end${others}`
      const message = `The storage repository is full: ${found}, ${formatBytes(free)} were free`
      throw new AppError('SR_FULL', [String(taken + length), String(free)], { message })
    }
    taken += length
    waiting.bytes += length
  }
  return {
    ...spool,
    async append(source, signal) {
      take(source.length)
      return spool.append(source, signal)
    },
    async close() {
      waiting.bytes -= taken
      taken = 0
      await spool.close()
    },
  }
}
