// The use case of VDI.pool_migrate: a VDI goes with its snapshots to another storage repository, or
// to another format. Their content is copied first, as a tree of layers; one transaction then moves
// all their rows. Until then they are where they were, and can be read.

import { METADATA_ONLY } from '../catalog/schema.ts'
import type { SrRow } from '../catalog/srs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import { formatFor, requireSizeAllowed, requireSupported } from '../transfer/at-rest-format.ts'
import type { Work } from '../transfer/copy-disk.ts'
import { copyLayers } from '../transfer/copy-layers.ts'
import { requireData } from '../store/reading/require-data.ts'
import { findSr, findVdi, nameOf, requireWritableSr } from '../transfer/find.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import type { OperationContext } from './context.ts'

interface MigrateRequest {
  readonly vdiUuid: string
  readonly srUuid: string
  /** As the client wrote it; undefined: what the VDI asked for once, or what the SR likes best. */
  readonly formatName?: string
}

/**
 * Runs a migration as one transfer. On a throw all is where it was and nothing is left behind.
 * @throws AppError HANDLE_INVALID, VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE, OPERATION_NOT_ALLOWED,
 *   OTHER_OPERATION_IN_PROGRESS, SR_FULL, TOO_BUSY, TASK_CANCELLED
 */
export const migrateVdi = (
  context: OperationContext,
  request: MigrateRequest,
  task: TaskHandle,
): Promise<void> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const vdi = await findVdi(context, request.vdiUuid)
    requireData(vdi)
    requireOwnPlace(vdi)
    const sr = await findSr(context, request.srUuid)
    const target = targetOf(vdi, sr, request.formatName)
    const family = await findFamily(context, vdi)
    if (family.every((member) => isThere(member, target)))
      return keepFormat(context, family, target)
    await requireWritableSr(context, sr.uuid)
    const release = takeAll(context, family, task.ref ?? 'a migration')
    try {
      await open()
      task.begin(`Migration of ${nameOf(vdi)}`)
      await moveFamily(context, family, target, { signal, turn, task })
    } finally {
      release()
    }
  })

type Target = Pick<VdiRow, 'srUuid' | 'format' | 'requestedFormat'>

/** @throws AppError VDI_INCOMPATIBLE_TYPE */
const targetOf = (vdi: VdiRow, sr: SrRow, formatName: string | undefined): Target => {
  const { uuid: srUuid } = sr
  if (formatName !== undefined) {
    const format = requireSupported(formatName, sr)
    return { srUuid, format, requestedFormat: format }
  }
  const { format, requestedFormat } = vdi
  return vdi.srUuid === srUuid
    ? { srUuid, format, requestedFormat }
    : { srUuid, ...formatFor(vdi, sr) }
}

const isThere = ({ srUuid, format }: VdiRow, target: Target): boolean =>
  srUuid === target.srUuid && format === target.format

/** @throws AppError OPERATION_NOT_ALLOWED for a snapshot whose disk is there: it moves with that */
const requireOwnPlace = ({ uuid, snapshotOfUuid }: VdiRow): void => {
  if (snapshotOfUuid === null) return
  const found = `it is a snapshot of ${snapshotOfUuid} and moves with that`
  throw new AppError('OPERATION_NOT_ALLOWED', [`The VDI ${uuid} cannot be moved alone: ${found}`])
}

/**
 * The VDI, its snapshots, and theirs. One whose data was destroyed stays: there is nothing to move.
 */
const findFamily = async (
  { catalog }: OperationContext,
  vdi: VdiRow,
): Promise<readonly VdiRow[]> => {
  const family = [vdi]
  for (const member of family) {
    const snapshots = await catalog.vdis.snapshotsOf(member.uuid)
    family.push(...snapshots.filter(({ type }) => type !== METADATA_ONLY))
  }
  return family
}

/** Nothing has to move; a format that was asked for by name is shown from now on. */
const keepFormat = async (
  { catalog }: OperationContext,
  family: readonly VdiRow[],
  { requestedFormat }: Target,
): Promise<void> => {
  for (const { uuid, requestedFormat: old } of family) {
    if (old !== requestedFormat) await catalog.vdis.update(uuid, () => ({ requestedFormat }))
  }
}

/** @throws AppError OTHER_OPERATION_IN_PROGRESS, holding none, where one is taken */
const takeAll = (
  { leases }: OperationContext,
  family: readonly VdiRow[],
  holder: string,
): (() => void) => {
  const taken: (() => void)[] = []
  const release = (): void => {
    for (const giveBack of taken) giveBack()
  }
  try {
    for (const { uuid } of family) taken.push(leases.take(uuid, holder, 'mirror'))
    return release
  } catch (error) {
    release()
    throw error
  }
}

const moveFamily = async (
  context: OperationContext,
  family: readonly VdiRow[],
  target: Target,
  options: Work & { readonly task: TaskHandle },
): Promise<void> => {
  const { catalog, storage } = context
  const { contents, upkeep } = storage
  // Files that others have changed are looked at again: the layers are copied as the catalog knows
  // them.
  for (const member of family) {
    const { disk } = await contents.openRuns(member.uuid)
    await disk.close()
  }
  const pinned = await contents.pinVdis(family.map(({ uuid }) => uuid))
  const present = pinned.vdis.map(({ vdi }) => vdi)
  try {
    for (const { uuid, virtualSize } of present) {
      requireSizeAllowed(virtualSize, target.format, uuid)
    }
    const tops = present.flatMap(({ layerUuid }) => layerUuid ?? [])
    const copies = await copyLayers(context, tops, { ...target, ...options })
    try {
      const vdis = present.map((vdi) => ({
        vdi,
        layerUuid: vdi.layerUuid === null ? null : copies.copyOf.get(vdi.layerUuid)!,
      }))
      await catalog.vdis.move([{ ...target, vdis }], options.task.ref, present[0]!.uuid)
    } finally {
      copies.release()
    }
  } finally {
    pinned.release()
    for (const srUuid of new Set([target.srUuid, ...present.map((vdi) => vdi.srUuid)])) {
      upkeep.collect(srUuid)
    }
  }
}
