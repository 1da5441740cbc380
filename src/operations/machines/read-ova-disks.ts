// The disks of an OVA: entries of the archive that are images, of any format. What else it holds is
// passed over; all of it is held against the manifest.

import type { ArchiveReader } from '../../archives/archive-reader.ts'
import type { ArchivedDisk, ArchivedMachines } from '../../archives/machines.ts'
import type { Manifest } from '../../archives/ovf/manifest.ts'
import { MAXIMUM_MANIFEST_SIZE } from '../../archives/ovf/manifest.ts'
import type { SealedLayer } from '../../catalog/layers/layers.ts'
import { AppError, imageError, toAppError } from '../../errors.ts'
import { raw } from '../../formats/raw/raw.ts'
import type { TarEntry } from '../../formats/tar/header.ts'
import { quote } from '../../formats/tar/header.ts'
import { createForwardReader } from '../../image/forward-reader.ts'
import { largestNewVdi, requireDefaultAllows } from '../../transfer/at-rest-format.ts'
import { noTask } from '../../transfer/with-task.ts'
import { writeLayer } from '../../transfer/write-layer.ts'
import { formatBytes } from '../../units.ts'
import type { OpenedUpload } from '../vdi/open-upload.ts'
import { openUpload } from '../vdi/open-upload.ts'
import { decodeUpload, writeUpload } from '../vdi/write-upload.ts'
import type { DiskWork } from './disk-work.ts'
import type { DiskTarget } from './import-machines.ts'

const what = 'Cannot import the OVA'

/**
 * @returns what is to be noted
 * @throws AppError IMPORT_ERROR_GENERIC for a file that is not there, or not what the OVF or the
 *   manifest says
 */
export const readOvaDisks = async (
  archive: ArchiveReader,
  { disks }: ArchivedMachines,
  manifest: Manifest,
  work: DiskWork,
  target: DiskTarget,
): Promise<readonly string[]> => {
  const notes: string[] = []
  const missing = new Map(
    disks.flatMap((disk) =>
      disk.source.kind === 'image' ? [[disk.source.name, disk] as const] : [],
    ),
  )
  const names = new Set<string>()
  for (let entry; (entry = await archive.entry()) !== undefined;) {
    const { name } = entry
    if (names.has(name)) throw imageError(what, `it holds ${quote(name)} twice`)
    names.add(name)
    const disk = missing.get(name)
    missing.delete(name)
    if (disk !== undefined) {
      const content = watched(manifest.hashed(name, archive.content()), work)
      notes.push(...(await writeImage(content, entry, disk, work, target)))
    } else if (/\.mf$/i.test(name)) manifest.read(await readText(archive, entry))
    else {
      if (/\.cert$/i.test(name)) notes.push('the signature of its manifest is not checked')
      for await (const _ of watched(manifest.hashed(name, archive.content()), work));
    }
    await archive.finish()
  }
  const [left] = missing.keys()
  if (left !== undefined) throw imageError(what, `its file ${quote(left)} is not in it`)
  const unnamed = manifest.verify()
  if (unnamed.length > 0) {
    notes.push(`its manifest does not name ${unnamed.slice(0, 5).map(quote).join(', ')}`)
  }
  return notes
}

async function* watched(
  chunks: AsyncIterable<Uint8Array>,
  { onBytes }: DiskWork,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    onBytes?.()
    yield chunk
  }
}

const readText = async (archive: ArchiveReader, { name, size }: TarEntry): Promise<string> => {
  if (size > MAXIMUM_MANIFEST_SIZE) {
    const limit = formatBytes(MAXIMUM_MANIFEST_SIZE)
    throw imageError(what, `${quote(name)} has ${size} bytes, the limit is ${limit}`)
  }
  const bytes = new Uint8Array(size)
  await archive.read(bytes, quote(name))
  return Buffer.from(bytes).toString('utf8')
}

/** @returns what is to be noted */
const writeImage = async (
  content: AsyncIterable<Uint8Array>,
  { name, size }: TarEntry,
  disk: ArchivedDisk,
  work: DiskWork,
  target: DiskTarget,
): Promise<readonly string[]> => {
  const notes: string[] = []
  const body = createForwardReader(content, work.signal)
  if (await body.atEnd()) throw imageError(what, `${quote(name)} is empty`)
  const request = { replace: false, chunked: false }
  const writing = {
    ...work,
    request,
    upload: { length: size },
    task: { ...noTask, note: async (found: readonly string[]) => void notes.push(...found) },
  }
  const claim = { format: undefined, isSaid: true }
  const plain = { codings: [] }
  try {
    const opened = await openUpload(body, { ...writing, upload: plain, claim })
    try {
      notes.push(...(await writeOpened(opened, disk, writing, target)))
    } catch (error) {
      throw opened.form.explain(error)
    } finally {
      await opened.content.close()
    }
  } catch (error) {
    throw inFile(error, name)
  }
  return notes.map((note) => `${name.slice(0, 100)}: ${note}`)
}

/** A refusal that names the file. */
const inFile = (error: unknown, name: string): unknown => {
  const reason = toAppError(error)
  if (reason.code !== 'IMPORT_ERROR_GENERIC') return error
  return new AppError(reason.code, [`${quote(name)}: ${reason.message}`], { cause: error })
}

type Writing = Parameters<typeof decodeUpload>[0] & DiskWork

const writeOpened = async (
  opened: OpenedUpload,
  disk: ArchivedDisk,
  writing: Writing,
  { context, sr, take, layerUuidOf }: DiskTarget,
): Promise<readonly string[]> => {
  requireDisk(opened, disk)
  const decoded = await decodeUpload(writing, opened, sr.uuid, { largestSize: largestNewVdi(sr) })
  const { endSize, isDelta } = decoded
  if (isDelta)
    throw imageError(what, 'it is a delta, the disk that it lies on is not in the archive')
  const told = disk.size ?? 0
  const virtualSize = Math.max(told, decoded.virtualSize)
  requireDefaultAllows(virtualSize, sr)
  let finalSize = virtualSize
  const commit = async (sealed: SealedLayer): Promise<void> => {
    await context.catalog.layers.seal(sealed)
    take(disk, sealed, finalSize)
  }
  const layer = { srUuid: sr.uuid, format: sr.defaultFormat, virtualSize }
  const { signal, turn } = writing
  await writeLayer(
    context,
    { ...layer, newUuid: layerUuidOf(disk), work: { signal, turn }, commit },
    async (writer) => {
      await writeUpload(writer, writing, opened, decoded)
      if (endSize === undefined) return undefined
      finalSize = Math.max(told, endSize())
      return finalSize
    },
  )
  if (told === 0 || endSize !== undefined || decoded.virtualSize === told) return []
  const found = `the OVF says ${formatBytes(told, decoded.virtualSize)}`
  return [
    `it holds a disk of ${formatBytes(decoded.virtualSize, told)}, ${found}: the larger counts`,
  ]
}

/** @throws AppError IMPORT_ERROR_GENERIC for what is no disk, or not the one that the OVF says */
const requireDisk = ({ archive, format }: OpenedUpload, { source }: ArchivedDisk): void => {
  if (archive !== undefined) throw imageError(what, 'it is an archive of machines itself')
  const said = source.kind === 'image' ? formatOf(source.format) : undefined
  if (said === undefined || said === format.name || format !== raw) return
  throw imageError(what, `it is no ${said} image, as the OVF says, nor of another known format`)
}

/** By the URI of a format: those of images that can be told by their first bytes. */
const formatOf = (uri: string): string | undefined =>
  /\b(vmdk|qcow2?|vhdx)\b/i.exec(uri)?.[1]?.toLowerCase()
