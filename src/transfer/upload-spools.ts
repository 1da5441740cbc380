// The spools of one import: where bytes of the upload wait. They take no more than the storage can
// spare, and go with the import, also where it fails before anybody reads them back.

import { AppError } from '../errors.ts'
import type { Spool } from '../image/spool.ts'
import { formatBytes } from '../units.ts'
import type { TransferContext } from './context.ts'

export interface UploadSpools {
  /** On the storage repository that the import goes to. */
  open(srUuid: string): Promise<Spool>
  /** Closes those that are still open. */
  close(): Promise<void>
}

export const createUploadSpools = ({ storage }: Pick<TransferContext, 'storage'>): UploadSpools => {
  const opened: Spool[] = []
  return {
    async open(srUuid) {
      const store = storage.stores.get(srUuid)
      const { size, used } = await store.space()
      const spool = boundSpool(await store.openSpool(), Math.max(0, size - used))
      opened.push(spool)
      return spool
    },
    async close() {
      await Promise.all(opened.map((spool) => spool.close()))
    },
  }
}

/**
 * What waits is written once more, as a layer, before it goes: it may take half of what is free.
 * @param free in bytes
 */
const boundSpool = (spool: Spool, free: number): Spool => {
  let taken = 0
  return {
    ...spool,
    async append(source, signal) {
      taken += source.length
      if (taken > free / 2) {
        const found = `more than ${taken - source.length} bytes of the upload wait for its end`
        const message = `The storage repository is full: ${found}, ${formatBytes(free)} were free`
        throw new AppError('SR_FULL', [String(taken), String(free)], { message })
      }
      return spool.append(source, signal)
    },
  }
}
