// The steps of an import between its open body and the layer: the image is decoded with what is
// known of the disk, and what it holds is written, all of it or nothing. Called by import-vdi.ts.

import { clipWrites } from '../../disk/clip-writes.ts'
import { copyWrites } from '../../disk/copy-writes.ts'
import type { DiskWriter } from '../../disk/disk.ts'
import { throwIfAborted } from '../../disk/disk.ts'
import { AppError } from '../../errors.ts'
import type { DecodeContext, DecodedImage } from '../../formats/format.ts'
import type { FormatName } from '../../format-table.ts'
import type { BufferPool } from '../../image/buffer-pool.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import type { UploadSpools } from '../../transfer/upload-spools.ts'
import type { TaskHandle } from '../../transfer/with-task.ts'
import { formatBytes } from '../../units.ts'
import type { OperationContext } from '../context.ts'
import type { ImportRequest, Upload } from './import-request.ts'
import type { OpenedUpload } from './open-upload.ts'

interface Writing {
  readonly context: Pick<OperationContext, 'log'>
  readonly request: Pick<ImportRequest, 'chunked' | 'short'>
  readonly task: TaskHandle
  readonly upload: Pick<Upload, 'length' | 'endsWith' | 'verify'>
  readonly buffers: BufferPool
  readonly spools: UploadSpools
  readonly signal: AbortSignal
}

/** What is known of the size of the disk, in bytes: see DecodeContext. */
type KnownSize = Pick<DecodeContext, 'diskSize' | 'largestSize'>

/** Reads the header, and checks what can be checked of the image before anything is written. */
export const decodeUpload = async (
  writing: Writing,
  opened: OpenedUpload,
  srUuid: string,
  { diskSize, largestSize }: KnownSize,
): Promise<DecodedImage> => {
  const { request, upload, buffers, spools, signal } = writing
  const { format, content } = opened
  const isWrapped = content.compressions.length > 0
  // The end of a compression says that all has come.
  const mayBeShort = request.short === true || isWrapped
  const isExact = format.name === 'raw' && upload.endsWith === 'cut' && !mayBeShort
  const announced = isWrapped ? undefined : upload.length
  const streamLength = announced ?? (isExact ? diskSize : undefined)
  const decoded = await opened.decode({
    buffers,
    openSpool: () => spools.open(srUuid),
    mayBeShort,
    ...(streamLength === undefined ? {} : { streamLength }),
    ...(diskSize === undefined ? {} : { diskSize }),
    ...(largestSize !== undefined && isWrapped && { largestSize }),
    signal,
  })
  await tellNotes(writing, format.name, decoded)
  return decoded
}

/** Nothing is left out without a word. */
const tellNotes = async (
  { context: { log }, task }: Writing,
  format: FormatName,
  { notes = [] }: DecodedImage,
): Promise<void> => {
  if (notes.length === 0) return
  log.info({ task: task.ref, format, notes }, 'an import leaves out what it does not take')
  await task.note(notes)
}

/**
 * Writes the decoded image into a layer. The whole announced length must arrive: an upload that was
 * cut is never committed.
 */
export const writeUpload = async (
  writer: DiskWriter,
  { request, task, upload, signal }: Writing,
  { format, body, content }: OpenedUpload,
  decoded: DecodedImage,
): Promise<void> => {
  let guestBytes = 0
  const onProgress = (bytes: number): void => {
    guestBytes += bytes
    const { length } = upload
    task.report(length === undefined ? guestBytes / decoded.virtualSize : body.offset / length)
  }
  await copyWrites(clipWrites(decoded.writes(), writer.size), writer, { signal, onProgress })
  await content.finish(decoded.virtualSize)
  if (upload.endsWith === 'cut' && format.name === 'raw' && !request.chunked) {
    await requireEnd(body, decoded.virtualSize)
  } else if (upload.endsWith === undefined || upload.verify !== undefined) {
    await body.drain()
  }
  upload.verify?.()
  throwIfAborted(signal)
}

/** @throws AppError VDI_IO_ERROR where bytes follow */
const requireEnd = async (stream: ForwardReader, size: number): Promise<void> => {
  if (await stream.atEnd()) return
  const found = `the VDI has ${formatBytes(size)}, the stream goes on after them`
  throw new AppError('VDI_IO_ERROR', [`Cannot import raw of unknown length: ${found}`])
}
