// Looks up the objects that a request names, and refuses those that do not exist or do not fit.

import { handleInvalid } from '../object-errors.ts'
import type { SrRow } from '../catalog/srs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { TransferContext } from './context.ts'
import { srNotAttached, srReadOnly, vdiReadOnly } from '../object-errors.ts'

/** Characters of a VDI's name in that of a task. */
const maximumName = 200

/** @throws AppError HANDLE_INVALID where there is none */
export const findVdi = async ({ catalog }: TransferContext, uuid: string): Promise<VdiRow> => {
  const vdi = await catalog.vdis.get(uuid)
  if (vdi === undefined) throw handleInvalid('VDI', uuid)
  return vdi
}

/** What a task calls the VDI. */
export const nameOf = ({ nameLabel, uuid }: VdiRow): string =>
  nameLabel === '' ? uuid : nameLabel.slice(0, maximumName)

/** @throws AppError VDI_READONLY; a snapshot is read-only whatever its flag says */
export const requireWritable = ({ uuid, readOnly, isSnapshot }: VdiRow): void => {
  if (readOnly || isSnapshot) throw vdiReadOnly(uuid)
}

/**
 * @param name a uuid, or `default` for the default SR of the pool
 * @throws AppError HANDLE_INVALID where there is none
 */
export const findSr = async ({ catalog }: TransferContext, name: string): Promise<SrRow> => {
  const uuid = name === 'default' ? (await catalog.pools.list())[0]?.defaultSrUuid : name
  const sr = uuid === undefined || uuid === null ? undefined : await catalog.srs.get(uuid)
  if (sr === undefined) throw handleInvalid('SR', uuid ?? name)
  return sr
}

/**
 * @throws AppError SR_OPERATION_NOT_SUPPORTED [sr] where nothing may be written, SR_NOT_ATTACHED
 *   where its folder is away, HANDLE_INVALID where there is no such storage repository
 */
export const requireWritableSr = async (
  { catalog, storage }: Pick<TransferContext, 'catalog' | 'storage'>,
  srUuid: string,
): Promise<void> => {
  if ((await catalog.srs.get(srUuid))?.readOnly === true) throw srReadOnly(srUuid)
  const { whyDetached } = storage.stores.get(srUuid)
  if (whyDetached !== undefined) throw srNotAttached(srUuid, whyDetached)
}
