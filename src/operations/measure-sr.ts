// How large a storage repository is, and what lies in it now. Measured whenever somebody asks.

import type { OperationContext } from './context.ts'

/** All in bytes. */
export interface SrSizes {
  readonly physicalSize: number
  /** Of our layers; what others keep on the same device is not ours to tell. */
  readonly physicalUtilisation: number
  /** Sum of the virtual sizes of the VDIs, snapshots included. */
  readonly virtualAllocation: number
}

export const measureSr = async (
  { catalog, storage }: OperationContext,
  srUuid: string,
): Promise<SrSizes> => {
  // A folder that has just gone must not take the records of all the others with it.
  const { size } = await storage.stores
    .get(srUuid)
    .space()
    .catch(() => ({ size: 0 }))
  return { physicalSize: size, ...(await catalog.utilisation.ofSr(srUuid)) }
}
