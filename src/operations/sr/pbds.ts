// PBDs: the catalog has no rows of them. Whether a storage repository has one, and whether it is
// plugged, are columns of its row; its uuid follows from those of the host and of the row.

import { derivedUuid } from '../../catalog/derived-uuid.ts'
import { handleInvalid } from '../../object-errors.ts'
import type { SrRow } from '../../catalog/srs.ts'
import type { OperationContext } from '../context.ts'

export const pbdUuid = (hostUuid: string, srUuid: string): string =>
  derivedUuid('PBD', hostUuid, srUuid)

/** The storage repository that the PBD belongs to; undefined where there is no such PBD. */
export const srOfPbd = async (
  { catalog, hostUuid }: Pick<OperationContext, 'catalog' | 'hostUuid'>,
  uuid: string,
): Promise<SrRow | undefined> =>
  (await catalog.srs.list()).find((sr) => sr.hasPbd && pbdUuid(hostUuid, sr.uuid) === uuid)

/** @throws AppError HANDLE_INVALID where there is no such PBD */
export const requireSrOfPbd = async (
  context: Pick<OperationContext, 'catalog' | 'hostUuid'>,
  uuid: string,
): Promise<SrRow> => {
  const sr = await srOfPbd(context, uuid)
  if (sr === undefined) throw handleInvalid('PBD', uuid)
  return sr
}

/** Tells those who watch for changes. */
export const tellOfPbd = (
  { catalog, hostUuid }: Pick<OperationContext, 'catalog' | 'hostUuid'>,
  srUuid: string,
  operation: 'add' | 'mod' | 'del',
): void => catalog.changes.emit('PBD', pbdUuid(hostUuid, srUuid), operation)
