// The use case of VM.assert_can_migrate: all that can be refused of a move, before anything is
// made. VM.migrate_send asks the same.

import type { StringMap } from '../../catalog/schema.ts'
import { AppError } from '../../errors.ts'
import { handleInvalid } from '../../object-errors.ts'
import { toRef } from '../../refs.ts'
import { checkIncomingMove } from './check-incoming-move.ts'
import type { OperationContext } from '../context.ts'
import type { DiskMaps } from './asked-disks.ts'
import { askedDisksOf } from './asked-disks.ts'
import type { DestinationKey } from './destination.ts'
import { destinationKey, openDestination, requireDiskport } from './destination.ts'
import type { Machine } from './machine.ts'
import { readMachine, requireMovable, requireNoTracking } from './machine.ts'
import { reached } from './reached.ts'
import type { Place } from './wire.ts'
import { findVm } from '../vm/find-vm.ts'

export interface MigrateVmRequest extends DiskMaps {
  readonly vmUuid: string
  /** What host.migrate_receive of the destination gave. */
  readonly dest: StringMap
  /** Networks of the destination, by VIF. */
  readonly networkOfVif: Readonly<Record<string, string>>
  /** The VM stays here, too. */
  readonly copies: boolean
  /** `plain`, `verify` and `fingerprint`: see src/remote/address.ts. */
  readonly trust: StringMap
}

export interface CheckedMove {
  readonly machine: Machine
  /** Of its disks, in their order. */
  readonly places: readonly Place[]
  readonly networkOfVif: Readonly<Record<string, string>>
  /** How the destination is reached, or the incoming move of this server. */
  readonly to: { readonly key: DestinationKey } | { readonly moveHere: string }
}

/**
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED; OPERATION_NOT_ALLOWED for a snapshot, a copy
 *   inside this server, and a destination that takes no VMs from us; VDI_IN_USE,
 *   VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION, VDI_CBT_ENABLED; what checkIncomingMove throws at
 *   the destination; INVALID_VALUE, CANNOT_CONTACT_HOST
 */
export const checkMove = async (
  context: OperationContext,
  request: MigrateVmRequest,
  signal: AbortSignal,
): Promise<CheckedMove> => {
  const { vmUuid, networkOfVif, copies } = request
  const machine = await readMachine(context, await findVm(context, vmUuid, 'migrate_send'))
  await requireMovable(context, machine, copies)
  await requireOwnVifs(context, machine, networkOfVif)
  const disks = await askedDisksOf(context, machine, request)
  const key = destinationKey(request.dest, request.trust)
  const here = await context.catalog.incomingMoves.find(key.secret)
  const isHere = here !== undefined
  if (!isHere) requireNoTracking(machine.vdis.values())
  const move = {
    disks,
    others: [],
    networkUuids: [...new Set(Object.values(networkOfVif))],
    vmUuids: copies || isHere ? [] : machine.members.map(({ vm }) => vm.uuid),
  }
  if (here === undefined) {
    const places = await askThere(
      context,
      { key, hostRef: request.dest['host'] ?? '' },
      move,
      signal,
    )
    return { machine, places, networkOfVif, to: { key } }
  }
  requireMoveOf(machine, request)
  const places = await checkIncomingMove(context, move)
  const changed = [...machine.vdis.values()].filter((vdi, index) => {
    const { srUuid, format } = places[index]!
    return vdi.srUuid !== srUuid || vdi.format !== format
  })
  requireNoTracking(changed)
  return { machine, places, networkOfVif, to: { moveHere: here.uuid } }
}

/** @throws AppError what the destination answers; CANNOT_CONTACT_HOST */
const askThere = async (
  { migrateAuthorities }: OperationContext,
  { key, hostRef }: { readonly key: DestinationKey; readonly hostRef: string },
  move: Parameters<typeof checkIncomingMove>[1],
  signal: AbortSignal,
): Promise<readonly Place[]> => {
  const destination = openDestination(key, migrateAuthorities)
  try {
    await requireDiskport(key, hostRef, migrateAuthorities, signal)
    return await destination.check(move, signal)
  } catch (error) {
    throw reached(error)
  } finally {
    destination.close()
  }
}

/** Inside one server only the disks move. */
const requireMoveOf = ({ members }: Machine, { copies, networkOfVif }: MigrateVmRequest): void => {
  if (copies) {
    const message = 'A VM is copied inside one server by VM.copy, not by a migration'
    throw new AppError('OPERATION_NOT_ALLOWED', [message])
  }
  for (const vif of members.flatMap(({ vifs }) => vifs)) {
    const network = networkOfVif[vif.uuid]
    if (network === undefined || network === vif.networkUuid) continue
    const message = `Inside one server the VIF ${vif.uuid} keeps its network`
    throw new AppError('OPERATION_NOT_ALLOWED', [message])
  }
}

const requireOwnVifs = async (
  { catalog }: OperationContext,
  { vm, members }: Machine,
  networkOfVif: MigrateVmRequest['networkOfVif'],
): Promise<void> => {
  const own = new Set(members.flatMap(({ vifs }) => vifs.map(({ uuid }) => uuid)))
  for (const uuid of Object.keys(networkOfVif)) {
    if (own.has(uuid)) continue
    if ((await catalog.vifs.get(uuid)) === undefined) throw handleInvalid('VIF', uuid)
    const message = `vif_map names the VIF ${uuid}, which the VM ${vm.uuid} does not have`
    throw new AppError('INVALID_VALUE', ['vif_map', toRef(uuid)], { message })
  }
}
