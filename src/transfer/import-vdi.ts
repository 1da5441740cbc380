// The use case of every import: checks all that can be refused before a byte is read, decodes the
// stream into a new layer, and makes it the VDI's content in one step. Knows no HTTP.

import { randomUUID } from 'node:crypto'
import type { SealedLayer } from '../catalog/layers.ts'
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
import { formatBytes, KiB, MiB } from '../units.ts'
import type { TransferContext } from './context.ts'
import { requireData } from '../store/require-data.ts'
import { findSr, findVdi, nameOf, requireWritable, requireWritableSr } from './find.ts'
import { writeContent, writeLayer } from './write-layer.ts'
import type { Turn } from './turns.ts'
import type { TaskHandle } from './with-task.ts'

/** How much larger than the VDI an image may be if nothing but zeros lies there: rounding by the sender. */
const maximumRounding = 2 * MiB

/** Bytes read at a time, and how many such pieces may be on their way to the storage. */
const pieceSize = 256 * KiB
const pieceCount = 16

export interface ImportRequest {
  /** The VDI to write into, or the storage repository to make one in. */
  readonly target:
    { readonly vdiUuid: string } | { readonly srUuid: string; readonly nameLabel: string }
  /** As the client wrote it. */
  readonly formatName: string
  /** Starts from an empty disk; else what the image does not hold stays as it is. */
  readonly replace: boolean
  /** Raw content comes in XenServer's own chunks; the other formats are plain all the same. */
  readonly chunked: boolean
  /**
   * The client's conditions on what is there: called before a byte is read.
   * @param present undefined: the VDI is yet to be made
   * @throws AppError where they do not hold; nothing is changed then
   */
  readonly requireConditions?: (present: VdiRow | undefined) => void
}

/** The body of the upload. */
export interface Upload {
  /** In bytes, where it is announced. */
  readonly length?: number
  /**
   * Where neither a length nor chunks of HTTP tell when the body is whole, but only the end of the connection:
   * an orderly `close`, or a `cut`, which may be one in the middle of the content too. The image then ends where
   * it says so itself; a raw one that is cut must have exactly the size of its VDI.
   */
  readonly endsWith?: 'close' | 'cut'
  /**
   * Called once, when nothing is left that could be refused before the first byte: the bytes.
   * @param turn is paused while none come
   */
  accept(turn: Turn): AsyncIterable<Uint8Array>
  /**
   * Called once when all bytes have been read, before the commit.
   * @throws AppError where they are not what the client meant to send
   */
  verify?(): void
}

/**
 * Runs an import as one transfer. On a throw the VDI is as it was and nothing is left behind.
 * @returns the uuid of the VDI; undefined where an upload without a byte made none
 * @throws AppError HANDLE_INVALID, UnknownFormatError, OTHER_OPERATION_IN_PROGRESS, VDI_READONLY, VDI_INCOMPATIBLE_TYPE,
 *   SR_OPERATION_NOT_SUPPORTED, SR_NOT_ATTACHED, VDI_TOO_SMALL, IMPORT_ERROR_GENERIC, VDI_IO_ERROR, SR_FULL, TOO_BUSY, TASK_CANCELLED
 */
export const importVdi = (
  context: TransferContext,
  request: ImportRequest,
  task: TaskHandle,
  upload: Upload,
): Promise<string | undefined> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const format = requireFormat(request.formatName)
    const { target } = request
    const buffers = createBufferPool(pieceCount, pieceSize)
    const importing = { context, request, task, upload, format, buffers, signal, turn, open }
    try {
      return await ('vdiUuid' in target
        ? importInto(importing, target.vdiUuid)
        : importNew(importing, target.srUuid, target.nameLabel))
    } finally {
      buffers.close()
    }
  })

interface Importing {
  readonly context: TransferContext
  readonly request: ImportRequest
  readonly task: TaskHandle
  readonly upload: Upload
  readonly format: ImageFormat
  readonly buffers: BufferPool
  readonly signal: AbortSignal
  readonly turn: Turn
  readonly open: () => Promise<void>
}

/** Writes into a VDI that is there. An upload without a byte is a probe: it changes nothing and takes no lease. */
const importInto = async (importing: Importing, vdiUuid: string): Promise<string> => {
  const { context, request, task, upload, format } = importing
  const asked = await findVdi(context, vdiUuid)
  await requireWritableSr(context, asked.srUuid)
  requireData(asked)
  requireWritable(asked)
  await requireConditions(importing, asked)
  // The length of a raw image is its header.
  if (format.name === 'raw' && !request.chunked) requireFits(upload.length ?? 0, asked)
  if (upload.length === 0) return vdiUuid
  // Whoever cuts may have come only to ask: the VDI is taken when the first byte is there.
  const probe = upload.endsWith === 'cut' ? await openStream(importing) : undefined
  if (await probe?.atEnd()) return vdiUuid
  const release = context.leases.take(vdiUuid, task.ref ?? 'another import')
  try {
    // Only now: what the last holder of the lease committed is what this import goes on top of.
    const vdi = await findVdi(context, vdiUuid)
    await requireConditions(importing, vdi)
    const stream = probe ?? (await openStream(importing))
    if (await stream.atEnd()) return vdiUuid
    task.begin(`Import into ${nameOf(vdi)}`)
    const decoded = await decode(importing, stream, vdi.srUuid, vdi.virtualSize)
    requireFits(decoded.virtualSize, vdi)
    const holdsAll = format.name === 'raw' && !decoded.isDelta
    const isWhole = holdsAll && decoded.virtualSize >= vdi.virtualSize
    const keepsContent = !request.replace && !isWhole
    const write = writerOf(importing, stream, decoded)
    await writeContent(context, vdi, { keepsContent, work: importing }, write)
    return vdiUuid
  } finally {
    release()
  }
}

/** Makes a VDI of the image's size, which appears together with its content. */
const importNew = async (
  importing: Importing,
  srName: string,
  nameLabel: string,
): Promise<string | undefined> => {
  const { context, task, upload, format } = importing
  const sr = await findSr(context, srName)
  const srUuid = sr.uuid
  await requireWritableSr(context, srUuid)
  importing.request.requireConditions?.(undefined)
  if (upload.length === 0) return undefined
  requireSizeKnown(importing)
  const stream = await openStream(importing)
  if (await stream.atEnd()) return undefined
  task.begin(`Import of ${nameLabel === '' ? 'a new VDI' : nameLabel.slice(0, 200)}`)
  const decoded = await decode(importing, stream, srUuid)
  if (decoded.isDelta) {
    const found = 'it is a delta: import it into the VDI that holds what it was taken from'
    throw new AppError('IMPORT_ERROR_GENERIC', [
      `Cannot make a VDI from this ${format.name}: ${found}`,
    ])
  }
  const vdi = {
    uuid: randomUUID(),
    srUuid,
    nameLabel,
    virtualSize: decoded.virtualSize,
    format: sr.defaultFormat,
  }
  const commit = (sealed: SealedLayer) => context.catalog.layers.commitNew(sealed, vdi)
  await writeLayer(context, { ...vdi, commit }, writerOf(importing, stream, decoded))
  return vdi.uuid
}

/** Holds the client's conditions against what the VDI shows now. */
const requireConditions = async ({ context, request }: Importing, asked: VdiRow): Promise<void> => {
  if (request.requireConditions === undefined) return
  // A file of others may have changed since its row was written: opening looks.
  const { disk, vdi } = await context.storage.openVdi(asked)
  await disk.close()
  request.requireConditions(vdi)
}

/** @throws AppError VALUE_NOT_SUPPORTED where neither the upload nor a VDI tells how large a raw image is */
const requireSizeKnown = ({ format, request, upload }: Importing): void => {
  if (format.name !== 'raw' || (upload.length !== undefined && !request.chunked)) return
  const found = request.chunked ? 'in chunks' : 'of unknown length'
  const reason = `a raw image ${found} needs a VDI that tells its size, or a Content-Length`
  throw new AppError('VALUE_NOT_SUPPORTED', ['format', 'raw', reason])
}

const openStream = async ({ upload, signal, turn, open }: Importing): Promise<ForwardReader> => {
  await open()
  return createForwardReader(upload.accept(turn), signal)
}

/** Reads the header, and checks what can be checked of the image before anything is written. */
const decode = (
  { format, request, context, upload, buffers, signal }: Importing,
  stream: ForwardReader,
  srUuid: string,
  diskSize?: number,
): Promise<DecodedImage> => {
  const isCutRaw = format.name === 'raw' && upload.endsWith === 'cut'
  const streamLength = upload.length ?? (isCutRaw ? diskSize : undefined)
  const decoding = {
    buffers,
    openSpool: () => context.storage.store(srUuid).openSpool(),
    ...(streamLength === undefined ? {} : { streamLength }),
    ...(diskSize === undefined ? {} : { diskSize }),
    signal,
  }
  return format.name === 'raw' && request.chunked
    ? decodeChunks(stream, decoding)
    : format.decode(stream, decoding)
}

/** @throws AppError VDI_TOO_SMALL for an image that is larger by more than rounding */
const requireFits = (virtualSize: number, vdi: VdiRow): void => {
  if (virtualSize <= vdi.virtualSize + maximumRounding) return
  const found = `The image holds a disk of ${formatBytes(virtualSize)}`
  const message = `${found}, the VDI ${vdi.uuid} has ${formatBytes(vdi.virtualSize)}`
  throw new AppError('VDI_TOO_SMALL', [vdi.uuid, String(virtualSize)], { message })
}

/** What brings the decoded writes into a layer. What was announced must arrive too: a cut upload is never committed. */
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
