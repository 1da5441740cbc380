// Where a user wants each disk of a VM, and in which format: vdi_map and vdi_format_map.

import type { VdiRow } from '../../catalog/vdis.ts'
import { AppError } from '../../errors.ts'
import { handleInvalid } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import type { OperationContext } from '../context.ts'
import type { Machine } from './machine.ts'
import type { AskedDisk } from './wire.ts'

type UuidMap = Readonly<Record<string, string>>

export interface DiskMaps {
  /** Storage repositories at the destination, by VDI. */
  readonly srOfVdi: UuidMap
  /** Formats as the user wrote them, by VDI; empty: the driver's choice. */
  readonly formatOfVdi: UuidMap
}

/**
 * A snapshot that is in neither map follows the disk that it is a snapshot of.
 * @throws AppError HANDLE_INVALID for a VDI in a map that is not there, INVALID_VALUE for one that
 *   is not of this VM
 */
export const askedDisksOf = async (
  context: OperationContext,
  machine: Machine,
  { srOfVdi, formatOfVdi }: DiskMaps,
): Promise<AskedDisk[]> => {
  await requireOwn(context, machine, srOfVdi, 'vdi_map')
  await requireOwn(context, machine, formatOfVdi, 'vdi_format_map')
  const sizes = await dataSizes(context, machine)
  return [...machine.vdis.values()].map((vdi) => ({
    vdiUuid: vdi.uuid,
    srUuid: followed(machine, vdi, srOfVdi) ?? null,
    formatName: followed(machine, vdi, formatOfVdi) ?? '',
    requestedFormat: vdi.requestedFormat,
    virtualSize: vdi.virtualSize,
    dataSize: sizes.get(vdi.uuid) ?? 0,
  }))
}

const requireOwn = async (
  { catalog }: OperationContext,
  { vm, vdis }: Machine,
  map: UuidMap,
  name: string,
): Promise<void> => {
  for (const uuid of Object.keys(map)) {
    if (vdis.has(uuid)) continue
    if ((await catalog.vdis.get(uuid)) === undefined) throw handleInvalid('VDI', uuid)
    const message = `${name} names the VDI ${uuid}, which the VM ${vm.uuid} does not have`
    throw new AppError('INVALID_VALUE', [name, toRef(uuid)], { message })
  }
}

/** The entry of the VDI, or of what it is a snapshot of. */
const followed = ({ vdis }: Machine, vdi: VdiRow, map: UuidMap): string | undefined => {
  const seen = new Set<string>()
  for (let at: VdiRow | undefined = vdi; at !== undefined && !seen.has(at.uuid);) {
    if (Object.hasOwn(map, at.uuid)) return map[at.uuid]
    seen.add(at.uuid)
    at = at.snapshotOfUuid === null ? undefined : vdis.get(at.snapshotOfUuid)
  }
  return undefined
}

/** What the layers hold, in bytes: of those that are shared, for the first VDI alone. */
const dataSizes = async (
  { catalog }: OperationContext,
  { vdis }: Machine,
): Promise<ReadonlyMap<string, number>> => {
  const counted = new Set<string>()
  const sizes = new Map<string, number>()
  for (const { uuid, layerUuid } of vdis.values()) {
    let size = 0
    for (const layer of layerUuid === null ? [] : await catalog.layers.chain(layerUuid)) {
      if (counted.has(layer.uuid)) break
      counted.add(layer.uuid)
      size += layer.fileSize
    }
    sizes.set(uuid, size)
  }
  return sizes
}
