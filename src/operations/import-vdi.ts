// The use case of every import: checks all that can be refused before a byte is read, decodes the
// stream into a new layer, and makes it the VDI's content in one step. Knows no HTTP.

import { randomUUID } from 'node:crypto'
import { objectBounds, requireWithin } from '../catalog/bounds.ts'
import type { SealedLayer } from '../catalog/layers/layers.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { clipWrites } from '../disk/clip-writes.ts'
import { copyWrites } from '../disk/copy-writes.ts'
import type { DiskWriter } from '../disk/disk.ts'
import { throwIfAborted } from '../disk/disk.ts'
import { AppError } from '../errors.ts'
import type { DecodedImage, ImageFormat } from '../formats/format.ts'
import { decodeChunks } from '../formats/raw/decode-chunks.ts'
import { requireFormat } from '../formats/registry.ts'
import type { BufferPool } from '../image/buffer-pool.ts'
import { createBufferPool } from '../image/buffer-pool.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { createForwardReader } from '../image/forward-reader.ts'
import { formatBytes, KiB } from '../units.ts'
import type { Announcement } from '../transfer/check-import.ts'
import {
  checkImportInto,
  checkImportNew,
  nothingCame,
  requireFits,
  requireFitsSize,
} from '../transfer/check-import.ts'
import { requireDefaultAllows } from '../transfer/at-rest-format.ts'
import { requireData } from '../store/reading/require-data.ts'
import type { ImportRequest, Upload } from './vdi/import-request.ts'
import { findSr, findVdi, nameOf, requireWritable, requireWritableSr } from '../transfer/find.ts'
import { requireBase } from '../transfer/require-base.ts'
import type { FormCheck } from '../transfer/require-form.ts'
import { createFormCheck, requireNoForm } from '../transfer/require-form.ts'
import { requireRoom } from '../transfer/require-room.ts'
import type { UploadSpools } from '../transfer/upload-spools.ts'
import { createUploadSpools } from '../transfer/upload-spools.ts'
import type { Turn } from '../transfer/turns.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import { writeContent, writeLayer } from '../transfer/write-layer.ts'
import type { OperationContext } from './context.ts'

/** Bytes read at a time, and how many such pieces may wait to be written. */
const pieceSize = 256 * KiB
const pieceCount = 16

/**
 * Runs an import as one transfer. On a throw the VDI is as it was and nothing is left behind.
 * @returns the uuid of the VDI
 * @throws AppError HANDLE_INVALID, VALUE_NOT_SUPPORTED, OTHER_OPERATION_IN_PROGRESS, VDI_READONLY,
 *   VDI_INCOMPATIBLE_TYPE, SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED, INVALID_VALUE,
 *   VDI_TOO_SMALL, VDI_TOO_LARGE, IMPORT_ERROR_GENERIC, VDI_IO_ERROR, SR_FULL, TOO_BUSY,
 *   TASK_CANCELLED
 */
export const importVdi = (
  context: OperationContext,
  request: ImportRequest,
  task: TaskHandle,
  upload: Upload,
): Promise<string> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const { target, formatName, chunked } = request
    const format = requireFormat(formatName ?? 'raw')
    const form = createFormCheck({
      format: formatName === undefined ? undefined : format.name,
      chunked,
    })
    const buffers = createBufferPool(pieceCount, pieceSize)
    const spools = createUploadSpools(context)
    const waits = { signal, turn, open }
    const importing = { context, request, task, upload, format, form, buffers, spools, ...waits }
    try {
      return await ('vdiUuid' in target
        ? importInto(importing, target.vdiUuid)
        : importNew(importing, target.srUuid, target.nameLabel))
    } catch (error) {
      throw form.explain(error)
    } finally {
      buffers.close()
      await spools.close()
    }
  })

interface Importing {
  readonly context: OperationContext
  readonly request: ImportRequest
  readonly task: TaskHandle
  readonly upload: Upload
  readonly format: ImageFormat
  readonly form: FormCheck
  readonly buffers: BufferPool
  readonly spools: UploadSpools
  readonly signal: AbortSignal
  readonly turn: Turn
  readonly open: () => Promise<void>
}

const announcementOf = ({ format, request, upload }: Importing): Announcement => ({
  format: format.name,
  isFormatSaid: request.formatName !== undefined,
  chunked: request.chunked,
  short: request.short ?? false,
  length: upload.length,
  size: request.size,
})

/**
 * Answers an upload without a byte, by which a client may ask whether an import would be accepted.
 * Changes nothing and takes no lease. A client that names a task, replaces all content or sends a
 * digest does not ask.
 */
const answerEmpty = ({ upload, task, request }: Importing, vdiUuid: string): string => {
  const isTold = task.ref !== undefined || request.replace || upload.verify !== undefined
  if (upload.mayAsk === true && !isTold) return vdiUuid
  throw nothingCame()
}

/** Writes into a VDI that is there. */
const importInto = async (importing: Importing, vdiUuid: string): Promise<string> => {
  const { context, request, task, upload, format } = importing
  const asked = await findVdi(context, vdiUuid)
  await requireTakes(importing, asked)
  if (upload.length === 0) return answerEmpty(importing, vdiUuid)
  const announced = { formatName: format.name, length: upload.length, diskSize: asked.virtualSize }
  await requireRoom(context, asked.srUuid, announced)
  // A client that cuts the connection may only have asked: the lease is taken at the first byte.
  const probe = upload.endsWith === 'cut' ? await openStream(importing) : undefined
  if (await probe?.atEnd()) return answerEmpty(importing, vdiUuid)
  const release = context.leases.take(vdiUuid, task.ref ?? 'another import')
  try {
    // Only now: what the last holder of the lease committed is what this import goes on top of.
    const vdi = await findVdi(context, vdiUuid)
    await requireTakes(importing, vdi)
    const stream = probe ?? (await openStream(importing))
    task.begin(`Import into ${nameOf(vdi)}`)
    if (await stream.atEnd()) throw nothingCame()
    const decoded = await decode(importing, stream, vdi.srUuid, vdi.virtualSize)
    requireFits(decoded.virtualSize, vdi)
    await requireBase(context, vdi, { format: format.name, replace: request.replace, decoded })
    const holdsAll = format.name === 'raw' && !decoded.isDelta
    const reachesEnd = upload.length !== undefined || request.short !== true
    const isWhole = holdsAll && reachesEnd && decoded.virtualSize >= vdi.virtualSize
    const keepsContent = !request.replace && !isWhole
    const write = writerOf(importing, stream, decoded)
    const options = { keepsContent, taskRef: task.ref, work: importing }
    await writeContent(context, vdi, options, write)
    return vdiUuid
  } finally {
    release()
  }
}

/** Checks that the VDI, as it is now, can take the announced image. */
const requireTakes = async (importing: Importing, vdi: VdiRow): Promise<void> => {
  await requireWritableSr(importing.context, vdi.srUuid)
  requireData(vdi)
  requireWritable(vdi)
  await requireConditions(importing, vdi)
  checkImportInto(announcementOf(importing), vdi)
}

/**
 * Makes a VDI of the image's size or of the one asked for, which appears together with its content.
 */
const importNew = async (
  importing: Importing,
  srName: string,
  nameLabel: string,
): Promise<string> => {
  const { context, request, task, upload, format } = importing
  const sr = await findSr(context, srName)
  const srUuid = sr.uuid
  await requireWritableSr(context, srUuid)
  request.requireConditions?.(undefined)
  checkImportNew(announcementOf(importing), sr)
  if (upload.length === 0) throw nothingCame()
  requireWithin(objectBounds, { nameLabel })
  await requireRoom(context, srUuid, { formatName: format.name, length: upload.length })
  const stream = await openStream(importing)
  task.begin(`Import of ${nameLabel === '' ? 'a new VDI' : nameLabel.slice(0, 200)}`)
  if (await stream.atEnd()) throw nothingCame()
  const decoded = await decode(importing, stream, srUuid, request.size)
  requireFitsSize(decoded.virtualSize, request.size)
  // What raw chunks leave out holds nothing: on a new VDI they are the whole disk.
  if (decoded.isDelta && format.name !== 'raw') {
    const found = 'it is a delta: import it into the VDI that holds what it was taken from'
    throw new AppError('IMPORT_ERROR_GENERIC', [
      `Cannot make a VDI from this ${format.name}: ${found}`,
    ])
  }
  requireDefaultAllows(decoded.virtualSize, sr)
  const vdi = {
    uuid: randomUUID(),
    srUuid,
    nameLabel,
    virtualSize: request.size ?? decoded.virtualSize,
    format: sr.defaultFormat,
  }
  const commit = (sealed: SealedLayer) => context.catalog.layers.commitNew(sealed, vdi, task.ref)
  const layer = { ...vdi, work: importing, commit }
  await writeLayer(context, layer, writerOf(importing, stream, decoded))
  return vdi.uuid
}

/** Checks the client's conditions against what the VDI shows now. */
const requireConditions = async ({ context, request }: Importing, asked: VdiRow): Promise<void> => {
  if (request.requireConditions === undefined) return
  // A file of others may have changed since its row was written: opening looks.
  const { disk, vdi } = await context.storage.contents.openRuns(asked.uuid)
  await disk.close()
  request.requireConditions(vdi)
}

const openStream = async ({ upload, signal, turn, open }: Importing): Promise<ForwardReader> => {
  await open()
  return createForwardReader(upload.accept(turn), signal)
}

/** Reads the header, and checks what can be checked of the image before anything is written. */
const decode = async (
  { format, form, request, upload, buffers, spools, signal }: Importing,
  stream: ForwardReader,
  srUuid: string,
  diskSize?: number,
): Promise<DecodedImage> => {
  const mayBeShort = request.short === true
  const isExact = format.name === 'raw' && upload.endsWith === 'cut' && !mayBeShort
  const streamLength = upload.length ?? (isExact ? diskSize : undefined)
  const decoding = {
    buffers,
    openSpool: () => spools.open(srUuid),
    mayBeShort,
    ...(streamLength === undefined ? {} : { streamLength }),
    ...(diskSize === undefined ? {} : { diskSize }),
    signal,
  }
  const { formatName, chunked } = request
  await form.requireForm(stream)
  const decoded =
    format.name === 'raw' && chunked
      ? await decodeChunks(stream, decoding)
      : await format.decode(stream, decoding)
  if (formatName !== undefined) return decoded
  const { virtualSize } = decoded
  return { ...decoded, writes: () => requireNoForm(decoded.writes(), { virtualSize, chunked }) }
}

/**
 * Writes the decoded image into a layer. The whole announced length must arrive: an upload that was
 * cut is never committed.
 */
const writerOf = (
  { request, task, upload, format, signal }: Importing,
  stream: ForwardReader,
  decoded: DecodedImage,
): ((writer: DiskWriter) => Promise<void>) => {
  let guestBytes = 0
  const onProgress = (bytes: number): void => {
    guestBytes += bytes
    const { length } = upload
    task.report(length === undefined ? guestBytes / decoded.virtualSize : stream.offset / length)
  }
  return async (writer) => {
    await copyWrites(clipWrites(decoded.writes(), writer.size), writer, { signal, onProgress })
    if (upload.endsWith === 'cut' && format.name === 'raw' && !request.chunked) {
      await requireEnd(stream, decoded.virtualSize)
    } else if (upload.endsWith === undefined || upload.verify !== undefined) {
      await stream.drain()
    }
    upload.verify?.()
    throwIfAborted(signal)
  }
}

/** @throws AppError VDI_IO_ERROR where bytes follow */
const requireEnd = async (stream: ForwardReader, size: number): Promise<void> => {
  if (await stream.atEnd()) return
  const found = `the VDI has ${formatBytes(size)}, the stream goes on after them`
  throw new AppError('VDI_IO_ERROR', [`Cannot import raw of unknown length: ${found}`])
}
