// The disks of an XVA: for each a folder of numbered blocks, one folder after the other.

import type { ArchiveReader } from '../../archives/archive-reader.ts'
import type { ArchivedDisk, ArchivedMachines } from '../../archives/machines.ts'
import { clipWrites } from '../../disk/clip-writes.ts'
import { copyWrites } from '../../disk/copy-writes.ts'
import { imageError } from '../../errors.ts'
import { folderOf } from '../../formats/tar/block-sequence.ts'
import { quote } from '../../formats/tar/header.ts'
import { readBlocks } from '../../formats/tar/read-blocks.ts'
import { requireVirtualSize } from '../../formats/virtual-size.ts'
import { formatBytes, MAXIMUM_DISK_SIZE } from '../../units.ts'
import { writeLayer } from '../../transfer/write-layer.ts'
import type { DiskWork } from './disk-work.ts'
import type { DiskTarget } from './import-machines.ts'

/** @throws AppError IMPORT_ERROR_GENERIC for a disk that is not there, or not as it is described */
export const readXvaDisks = async (
  archive: ArchiveReader,
  { disks }: ArchivedMachines,
  work: DiskWork,
  target: DiskTarget,
  what: string,
): Promise<readonly string[]> => {
  const missing = new Map(
    disks.flatMap((disk) =>
      disk.source.kind === 'blocks' ? [[disk.source.folder, disk] as const] : [],
    ),
  )
  for (let entry; (entry = await archive.entry()) !== undefined;) {
    const folder = folderOf(entry.name)
    const disk = missing.get(folder)
    if (disk === undefined) {
      const found = `${quote(entry.name)} is no block of a disk that is still missing`
      throw imageError(what, found)
    }
    missing.delete(folder)
    await writeBlocks(archive, { disk, folder, what }, work, target)
  }
  const [left] = missing.values()
  if (left === undefined) return []
  const found = `the disk ${quote(left.nameLabel)} (${left.id}) is not in it`
  throw imageError(what, `${found}: if only metadata was exported, there is nothing to import`)
}

interface DiskBlocks {
  readonly disk: ArchivedDisk
  readonly folder: string
  readonly what: string
}

const writeBlocks = async (
  archive: ArchiveReader,
  { disk, folder, what }: DiskBlocks,
  { buffers, signal, turn, onBytes }: DiskWork,
  { context, sr, take, layerUuidOf }: DiskTarget,
): Promise<void> => {
  const size = disk.size!
  requireVirtualSize(what, size, MAXIMUM_DISK_SIZE)
  const blocks = readBlocks(archive, { folder, maximumSize: size, buffers, signal, what })
  async function* whole() {
    const end = yield* blocks
    // XenServer always writes the last block.
    if (end >= size) return
    const found = `the blocks of the disk ${quote(disk.nameLabel)} (${disk.id}) end at ${end}`
    throw imageError(what, `${found}, it has ${formatBytes(size)}`)
  }
  const layer = {
    newUuid: layerUuidOf(disk),
    srUuid: sr.uuid,
    format: sr.defaultFormat,
    virtualSize: size,
    work: { signal, turn },
  }
  await writeLayer(
    context,
    {
      ...layer,
      async commit(sealed) {
        await context.catalog.layers.seal(sealed)
        take(disk, sealed, size)
      },
    },
    (writer) =>
      copyWrites(clipWrites(whole(), size), writer, { signal, onProgress: () => onBytes?.() }),
  )
}
