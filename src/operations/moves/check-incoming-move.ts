// Whether a VM can come here and where its disks will lie, before anything is made: the one check
// of VM.assert_can_migrate and VM.migrate_send at the destination.

import type { SrRow } from '../../catalog/srs.ts'
import { AppError } from '../../errors.ts'
import { duplicateVm, handleInvalid } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import { formatFor, requireSizeAllowed, requireSupported } from '../../transfer/at-rest-format.ts'
import { findSr, requireWritableSr } from '../../transfer/find.ts'
import { requireRoomFor } from '../../transfer/require-room.ts'
import type { OperationContext } from '../context.ts'
import type { AskedDisk, AskedMove, Place } from './wire.ts'

/**
 * @returns the places of the disks, in their order
 * @throws AppError DUPLICATE_VM; HANDLE_INVALID for a network that is not there; what placeDisks
 *   throws
 */
export const checkIncomingMove = async (
  context: OperationContext,
  { disks, others, networkUuids, vmUuids }: AskedMove,
): Promise<Place[]> => {
  const { catalog } = context
  for (const uuid of vmUuids) {
    if ((await catalog.vms.get(uuid)) !== undefined) throw duplicateVm(uuid)
  }
  const placed = await placeDisks(context, disks, others)
  for (const uuid of networkUuids) {
    if ((await catalog.networks.get(uuid)) === undefined) throw handleInvalid('network', uuid)
  }
  return placed
}

/**
 * In the order of XenServer's checks.
 * @returns in the order of `disks`
 * @throws AppError VDI_NOT_IN_MAP [VDI] for a disk without a storage repository where there is no
 *   default one; HANDLE_INVALID, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED;
 *   VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE; SR_FULL
 */
const placeDisks = async (
  context: OperationContext,
  disks: readonly AskedDisk[],
  others: AskedMove['others'],
): Promise<Place[]> => {
  const srs = new Map<string | null, SrRow>()
  for (const { vdiUuid, srUuid } of disks) {
    if (!srs.has(srUuid)) srs.set(srUuid, await srOf(context, srUuid, vdiUuid))
  }
  for (const { uuid } of srs.values()) await requireWritableSr(context, uuid)
  const placed = disks.map((disk) => placeOf(disk, srs.get(disk.srUuid)!))
  const wanted = new Map<string, number>()
  for (const { srUuid, dataSize } of [...disks, ...others]) {
    const uuid = srs.get(srUuid)?.uuid
    if (uuid !== undefined) wanted.set(uuid, (wanted.get(uuid) ?? 0) + dataSize)
  }
  for (const [uuid, dataSize] of wanted) await requireRoomFor(context, uuid, dataSize)
  return placed
}

const srOf = async (
  context: OperationContext,
  srUuid: string | null,
  vdiUuid: string,
): Promise<SrRow> => {
  if (srUuid !== null) return findSr(context, srUuid)
  const [pool] = await context.catalog.pools.list()
  if (pool?.defaultSrUuid) return findSr(context, pool.defaultSrUuid)
  throw new AppError('VDI_NOT_IN_MAP', [toRef(vdiUuid)])
}

const placeOf = (
  { vdiUuid, formatName, requestedFormat, virtualSize }: AskedDisk,
  sr: SrRow,
): Place => {
  const chosen = formatName === '' ? formatFor({ requestedFormat }, sr) : asked(formatName, sr)
  requireSizeAllowed(virtualSize, chosen.format, vdiUuid)
  return { srUuid: sr.uuid, ...chosen }
}

const asked = (formatName: string, sr: SrRow): Omit<Place, 'srUuid'> => {
  const format = requireSupported(formatName, sr)
  return { format, requestedFormat: format }
}
