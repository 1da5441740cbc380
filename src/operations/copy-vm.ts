// The use case of VM.copy: full copies of all disks, then one transaction that makes the VM with
// them. A crash before that leaves layers that nothing reaches, which go at the next start.

import { randomUUID } from 'node:crypto'
import type { SealedLayer } from '../catalog/layers/layers.ts'
import type { CopiedDisk } from '../catalog/vms/derive-vm.ts'
import { vbdHasDisk } from '../catalog/vms/derive-vm.ts'
import type { OpenedContent } from '../store/reading/opened-content.ts'
import type { Work } from '../transfer/copy-disk.ts'
import { copyDisk, countData, progressOf } from '../transfer/copy-disk.ts'
import { findSr } from '../transfer/find.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import { closeSource, writeLayer } from '../transfer/write-layer.ts'
import type { OperationContext } from './context.ts'
import type { CopiedVdi } from './vdi/copied-vdi.ts'
import { copiedVdi } from './vdi/copied-vdi.ts'
import { independentVm, ownedVbd, withNewMac } from './vm/derived-vm.ts'
import { findVm, nameOfVm } from './vm/find-vm.ts'

interface CopyVmRequest {
  readonly vmUuid: string
  readonly nameLabel: string
  /** Null: each disk is copied where it lies. */
  readonly srUuid: string | null
}

/** A disk and the row of its copy. */
interface Copying {
  readonly vbdUuid: string
  readonly source: OpenedContent
  readonly copy: CopiedVdi
  readonly layerUuid: string
}

/**
 * Runs a copy as one transfer. On a throw nothing has changed and nothing is left behind.
 * @returns the uuid of the copy
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED,
 *   VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE, SR_FULL, TOO_BUSY, TASK_CANCELLED
 */
export const copyVm = (
  context: OperationContext,
  { vmUuid, nameLabel, srUuid }: CopyVmRequest,
  task: TaskHandle,
): Promise<string> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const { catalog } = context
    const source = await findVm(context, vmUuid, 'copy')
    const vbds = await catalog.vbds.ofVm(vmUuid)
    const vifs = await catalog.vifs.ofVm(vmUuid)
    const copying: Copying[] = []
    try {
      for (const vbd of vbds.filter(vbdHasDisk)) {
        const opened = await context.storage.contents.open(vbd.vdiUuid)
        copying.push(await toCopy(context, vbd.uuid, opened, srUuid))
      }
      await open()
      task.begin(`Copy of ${nameOfVm(source)}`)
      return await withCopies(context, copying, { signal, turn, task }, async (disks) => {
        const copy = {
          vm: independentVm(source, nameLabel),
          source,
          vbds: vbds.map((vbd) => {
            const disk = disks.get(vbd.uuid)
            return { vbd: ownedVbd(vbd), ...(disk && { disk }) }
          }),
          vifs: vifs.map(withNewMac),
        }
        return (await catalog.vms.createCopy(copy, task.ref)).uuid
      })
    } finally {
      for (const { source: opened } of copying) await closeSource(context, opened.disk)
    }
  })

/** On a throw the content is closed. */
const toCopy = async (
  context: OperationContext,
  vbdUuid: string,
  source: OpenedContent,
  asked: string | null,
): Promise<Copying> => {
  try {
    const sr = await findSr(context, asked ?? source.vdi.srUuid)
    const copy = await copiedVdi(context, source.vdi, sr)
    return { vbdUuid, source, copy, layerUuid: randomUUID() }
  } catch (error) {
    await closeSource(context, source.disk)
    throw error
  }
}

/** Copies the disks, each into a layer that is held until `commit` has made it content. */
const withCopies = async (
  context: OperationContext,
  copying: readonly Copying[],
  { task, ...work }: Work & { readonly task: TaskHandle },
  commit: (disks: ReadonlyMap<string, CopiedDisk>) => Promise<string>,
): Promise<string> => {
  let total = 0
  for (const { source } of copying) total += await countData(source.disk)
  const onProgress = progressOf(total, task)
  const { contents, upkeep } = context.storage
  const release = await contents.pinLayers(copying.map(({ layerUuid }) => layerUuid))
  try {
    const disks = new Map<string, CopiedDisk>()
    for (const { vbdUuid, source, copy, layerUuid } of copying) {
      const request = {
        ...copy,
        newUuid: layerUuid,
        work,
        async commit(sealed: SealedLayer) {
          await context.catalog.layers.seal(sealed)
          disks.set(vbdUuid, { vdi: copy, layer: sealed })
        },
      }
      await writeLayer(context, request, async (writer) => {
        await copyDisk(source.disk, writer, work, onProgress)
        await source.verify()
      })
    }
    return await commit(disks)
  } finally {
    release()
    for (const srUuid of new Set(copying.map(({ copy }) => copy.srUuid))) upkeep.collect(srUuid)
  }
}
