// Imports the machines in an archive: each disk becomes a VDI, and the records VMs. The layers of
// the disks are held until one transaction makes all rows: either all of it is here, or nothing.

import { randomUUID } from 'node:crypto'
import type { ArchiveReader } from '../../archives/archive-reader.ts'
import { createArchiveReader } from '../../archives/archive-reader.ts'
import type { ArchivedDisk, ArchivedMachines } from '../../archives/machines.ts'
import { createManifest } from '../../archives/ovf/manifest.ts'
import { readOvf } from '../../archives/ovf/read-ovf.ts'
import { readXml } from '../../archives/xml.ts'
import { readXva } from '../../archives/xva/read-xva.ts'
import type { SealedLayer } from '../../catalog/layers/layers.ts'
import type { SrRow } from '../../catalog/srs.ts'
import type { NewMachineDisk } from '../../catalog/vms/insert-machines.ts'
import { throwIfAborted } from '../../disk/disk.ts'
import type { ArchiveName } from '../../formats/known-forms.ts'
import type { TransferContext } from '../../transfer/context.ts'
import type { OperationContext } from '../context.ts'
import type { Imported, MachineOptions, Upload } from '../vdi/import-request.ts'
import { resultUuids } from '../vdi/import-result.ts'
import type { OpenedUpload } from '../vdi/open-upload.ts'
import type { DiskWork } from './disk-work.ts'
import type { ImportedRows } from './imported-rows.ts'
import { importedRows } from './imported-rows.ts'
import { readOvaDisks } from './read-ova-disks.ts'
import { readXvaDisks } from './read-xva-disks.ts'

interface MachinesWork extends DiskWork {
  readonly context: OperationContext
  readonly upload: Upload
}

/** Where the layers of the disks go. */
export interface DiskTarget {
  readonly context: TransferContext
  readonly sr: SrRow
  /** Takes a sealed layer; `virtualSize` is in bytes. */
  readonly take: (disk: ArchivedDisk, layer: SealedLayer, virtualSize: number) => void
  /** Of the layer to make, which is held. */
  readonly layerUuidOf: (disk: ArchivedDisk) => string
}

type MachineTarget = Readonly<{ nameLabel: string; machines: MachineOptions }>

/**
 * @param opened an archive, from its first byte on
 * @param target whose name is that of the VM; empty: as the archive says
 * @throws AppError as importVdi, and DUPLICATE_VM
 */
export const importMachines = async (
  work: MachinesWork,
  opened: OpenedUpload & { readonly archive: ArchiveName },
  sr: SrRow,
  { nameLabel, machines: options }: MachineTarget,
): Promise<Imported> => {
  const { context, upload, task } = work
  const what = `Cannot import the ${opened.archive.toUpperCase()}`
  const archive = createArchiveReader(opened.content.stream, what)
  const { machines, readDisks } = await describe[opened.archive](archive, what)
  const rows = await importedRows(context, machines, { ...options, sr, nameLabel }, what)
  const layerUuids = new Map(machines.disks.map(({ id }) => [id, randomUUID()] as const))
  const layers = new Map<string, { layer: SealedLayer; virtualSize: number }>()
  const { contents, upkeep } = context.storage
  const release = await contents.pinLayers([...layerUuids.values()])
  try {
    const target: DiskTarget = {
      context,
      sr,
      take: ({ id }, layer, virtualSize) => void layers.set(id, { layer, virtualSize }),
      layerUuidOf: ({ id }) => layerUuids.get(id)!,
    }
    const onBytes = (): void => {
      const { length } = upload
      if (length !== undefined && length > 0) task.report(opened.body.offset / length)
    }
    const found = await readDisks({ ...work, onBytes }, target)
    await finish(work, opened, sizeOf(layers))
    return await commit(work, options, { rows, layers, notes: [...rows.notes, ...found] })
  } finally {
    release()
    upkeep.collect(sr.uuid)
  }
}

interface Described {
  readonly machines: ArchivedMachines
  /** Reads the rest of the archive; what is to be noted. */
  readonly readDisks: (work: DiskWork, target: DiskTarget) => Promise<readonly string[]>
}

const describe: Readonly<
  Record<ArchiveName, (archive: ArchiveReader, what: string) => Promise<Described>>
> = {
  async ova(archive, what) {
    const manifest = createManifest()
    const { name } = (await archive.entry())!
    const machines = readOvf(await readXml(manifest.hashed(name, archive.content()), what))
    await archive.finish()
    return {
      machines,
      readDisks: (work, target) => readOvaDisks(archive, machines, manifest, work, target),
    }
  },
  async xva(archive, what) {
    await archive.entry()
    const machines = readXva(await readXml(archive.content(), what))
    await archive.finish()
    return {
      machines,
      readDisks: (work, target) => readXvaDisks(archive, machines, work, target, what),
    }
  },
}

/** In bytes, of all disks. */
const sizeOf = (layers: ReadonlyMap<string, { readonly virtualSize: number }>): number =>
  [...layers.values()].reduce((sum, { virtualSize }) => sum + virtualSize, 0)

/** Nothing is left of the body that could tell that it was not whole. */
const finish = async (
  { upload, signal }: MachinesWork,
  { content, body }: OpenedUpload,
  size: number,
): Promise<void> => {
  await content.finish(size)
  if (upload.endsWith === undefined || upload.verify !== undefined) await body.drain()
  upload.verify?.()
  throwIfAborted(signal)
}

interface ReadMachines {
  readonly rows: ImportedRows
  /** By the ids of the disks. */
  readonly layers: ReadonlyMap<
    string,
    { readonly layer: SealedLayer; readonly virtualSize: number }
  >
  readonly notes: readonly string[]
}

const commit = async (
  { context, task }: MachinesWork,
  options: MachineOptions,
  { rows: { vdis, vms }, layers, notes }: ReadMachines,
): Promise<Imported> => {
  if (notes.length > 0) {
    context.log.info({ task: task.ref, notes }, 'an import leaves out what it does not take')
    await task.note(notes)
  }
  const disks = [...vdis].map(([id, vdi]): NewMachineDisk => {
    const found = layers.get(id)
    if (found === undefined) return { vdi }
    const { layer, virtualSize } = found
    return { vdi: { ...vdi, virtualSize }, layer }
  })
  const imported = {
    vdiUuids: disks.map(({ vdi }) => vdi.uuid),
    vmUuids: vms.filter(({ vm }) => vm.isSnapshot !== true).map(({ vm }) => vm.uuid),
  }
  await context.catalog.vms.createMachines({ disks, vms }, task.ref, resultUuids(imported, options))
  return imported
}
