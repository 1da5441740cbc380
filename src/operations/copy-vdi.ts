// The use case of VDI.copy: the content of a disk, or only what differs from another, into a new
// VDI or into one that is there. Knows no XenAPI values; xenapi/methods/vdi-copies calls it.

import { NULL_REF, toRef } from '../refs.ts'
import type { SealedLayer } from '../catalog/layers/layers.ts'
import type { SrRow } from '../catalog/srs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { DiskWriter } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import { formatBytes } from '../units.ts'
import type { Work } from '../transfer/copy-disk.ts'
import { copyDisk, countData, progressOf } from '../transfer/copy-disk.ts'
import { findSr, findVdi, nameOf, requireWritable, requireWritableSr } from '../transfer/find.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import { closeSource, writeContent, writeLayer } from '../transfer/write-layer.ts'
import type { OperationContext } from './context.ts'
import { copiedVdi } from './vdi/copied-vdi.ts'
import { vdiTooSmall } from '../object-errors.ts'

export interface CopyRequest {
  readonly vdiUuid: string
  /** Only what differs from this VDI. */
  readonly baseUuid: string | null
  /** Where a new VDI is made; null: `intoUuid` says it all. */
  readonly srUuid: string | null
  /**
   * The VDI that is written into: with a base it must hold what the base holds, else its content
   * goes.
   */
  readonly intoUuid: string | null
}

/**
 * Runs a copy as one transfer. On a throw nothing has changed and nothing is left behind.
 * @returns the uuid of the VDI that holds the copy
 * @throws AppError HANDLE_INVALID, INVALID_VALUE, VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE,
 *   VDI_TOO_SMALL, VDI_READONLY, OPERATION_NOT_ALLOWED, OTHER_OPERATION_IN_PROGRESS, SR_FULL,
 *   TOO_BUSY, TASK_CANCELLED
 */
export const copyVdi = (
  context: OperationContext,
  request: CopyRequest,
  task: TaskHandle,
): Promise<string> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const { contents } = context.storage
    const { disk, vdi, verify } = await (request.baseUuid === null
      ? contents.open(request.vdiUuid)
      : contents.openDelta(request.vdiUuid, request.baseUuid, { narrow: 'never' }))
    try {
      await open()
      task.begin(`Copy of ${nameOf(vdi)}`)
      const onProgress = progressOf(await countData(disk), task)
      const work = { signal, turn }
      const write = async (writer: DiskWriter): Promise<void> => {
        await copyDisk(disk, writer, work, onProgress)
        await verify()
      }
      const copying = { context, request, task, vdi, write, work }
      if (request.intoUuid !== null) return await copyInto(copying, request.intoUuid)
      if (request.srUuid !== null) {
        return await copyNew(copying, await findSr(context, request.srUuid))
      }
      const message = 'A copy needs a storage repository for a new VDI, or a VDI to write into'
      throw new AppError('INVALID_VALUE', ['sr', NULL_REF], { message })
    } finally {
      await closeSource(context, disk)
    }
  })

interface Copying {
  readonly context: OperationContext
  readonly request: CopyRequest
  readonly task: TaskHandle
  readonly vdi: VdiRow
  /** Puts the content in. */
  readonly write: (writer: DiskWriter) => Promise<void>
  readonly work: Work
}

/** Makes a VDI, which appears together with its content. */
const copyNew = async (copying: Copying, sr: SrRow): Promise<string> => {
  const { context, task, vdi, write, work } = copying
  const copy = await copiedVdi(context, vdi, sr)
  const commit = (sealed: SealedLayer) => context.catalog.layers.commitNew(sealed, copy, task.ref)
  await writeLayer(context, { ...copy, work, commit }, write)
  return copy.uuid
}

const copyInto = async (copying: Copying, intoUuid: string): Promise<string> => {
  const { context, request, task, vdi, write, work } = copying
  const { srUuid, baseUuid } = request
  if (intoUuid === vdi.uuid) {
    const message = `The VDI ${vdi.uuid} cannot be copied into itself`
    throw new AppError('INVALID_VALUE', ['into_vdi', toRef(intoUuid)], { message })
  }
  requireTakes(await findVdi(context, intoUuid), vdi)
  const release = context.leases.take(intoUuid, task.ref ?? 'a copy', 'copy')
  try {
    // Only now: what the last holder of the lease committed is what this copy goes on top of.
    const into = await findVdi(context, intoUuid)
    requireTakes(into, vdi)
    if (srUuid !== null && srUuid !== into.srUuid) {
      const message = `The VDI ${intoUuid} lies in the SR ${into.srUuid}, not in ${srUuid}`
      throw new AppError('INVALID_VALUE', ['sr', toRef(srUuid)], { message })
    }
    await requireWritableSr(context, into.srUuid)
    const keepsContent = baseUuid !== null
    await writeContent(context, into, { keepsContent, taskRef: task.ref, work }, write)
    return intoUuid
  } finally {
    release()
  }
}

/** @throws AppError VDI_READONLY, VDI_TOO_SMALL */
const requireTakes = (into: VdiRow, { uuid, virtualSize }: VdiRow): void => {
  requireWritable(into)
  if (into.virtualSize >= virtualSize) return
  const found = `The VDI ${uuid} has ${formatBytes(virtualSize, into.virtualSize)}`
  const message = `${found}, the VDI ${into.uuid} has ${formatBytes(into.virtualSize, virtualSize)}`
  throw vdiTooSmall(into.uuid, virtualSize, message)
}
