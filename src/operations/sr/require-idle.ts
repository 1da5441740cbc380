// Checks that a storage repository may be detached or forgotten: no transfer uses it.

import type { OperationContext } from '../context.ts'
import { otherOperation } from '../../object-errors.ts'

/** @throws AppError OTHER_OPERATION_IN_PROGRESS [SR, reference] */
export const requireIdle = async (
  { catalog, storage, leases }: OperationContext,
  srUuid: string,
): Promise<void> => {
  const vdis = await catalog.vdis.uuidsIn(srUuid)
  const layers = storage.stores.isAttached(srUuid) ? await catalog.layers.list(srUuid) : []
  const isBusy =
    vdis.some((uuid) => leases.holder(uuid) !== undefined) ||
    layers.some((layer) => layer.state === 'writing') ||
    (await storage.contents.isRead(srUuid))
  if (isBusy) throw otherOperation('SR', srUuid)
}
