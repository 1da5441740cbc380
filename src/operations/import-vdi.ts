// The use case of every import: checks all that can be refused before a byte is read, decodes the
// stream into a new layer, and makes it the VDI's content in one step. Knows no HTTP.

import { randomUUID } from 'node:crypto'
import { objectBounds, requireWithin } from '../catalog/bounds.ts'
import type { SealedLayer } from '../catalog/layers/layers.ts'
import type { SrRow } from '../catalog/srs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import type { BufferPool } from '../image/buffer-pool.ts'
import { createBufferPool } from '../image/buffer-pool.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { createForwardReader } from '../image/forward-reader.ts'
import { KiB } from '../units.ts'
import type { Announcement } from '../transfer/check-import.ts'
import {
  checkImportInto,
  checkImportNew,
  nothingCame,
  requireFits,
  requireFitsSize,
} from '../transfer/check-import.ts'
import { largestNewVdi, requireDefaultAllows } from '../transfer/at-rest-format.ts'
import { requireData } from '../store/reading/require-data.ts'
import type { ImportRequest, Upload } from './vdi/import-request.ts'
import type { ClaimedFormat, OpenedUpload } from './vdi/open-upload.ts'
import { openUpload, readClaim, requireClaimMeant } from './vdi/open-upload.ts'
import { decodeUpload, writeUpload } from './vdi/write-upload.ts'
import { findSr, findVdi, nameOf, requireWritable, requireWritableSr } from '../transfer/find.ts'
import { requireBase } from '../transfer/require-base.ts'
import type { AnnouncedImage } from '../transfer/require-room.ts'
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
    const { target } = request
    const claim = readClaim(request)
    requireClaimMeant(claim, request)
    const buffers = createBufferPool(pieceCount, pieceSize)
    const spools = createUploadSpools(context)
    const waits = { signal, turn, open }
    const importing = { context, request, task, upload, claim, buffers, spools, ...waits }
    try {
      return await ('vdiUuid' in target
        ? importInto(importing, target.vdiUuid)
        : importNew(importing, target.srUuid, target.nameLabel))
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
  readonly claim: ClaimedFormat
  readonly buffers: BufferPool
  readonly spools: UploadSpools
  readonly signal: AbortSignal
  readonly turn: Turn
  readonly open: () => Promise<void>
}

const announcementOf = ({ claim, request, upload }: Importing): Announcement => {
  const isCoded = (upload.codings ?? []).length > 0
  return {
    format: claim.format?.name,
    isFormatSaid: claim.isSaid,
    chunked: request.chunked,
    short: request.short ?? false,
    length: isCoded ? undefined : upload.length,
    tellsEnd: isCoded,
    size: request.size,
  }
}

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
  const { context, task, upload } = importing
  const asked = await findVdi(context, vdiUuid)
  await requireTakes(importing, asked)
  if (upload.length === 0) return answerEmpty(importing, vdiUuid)
  await requireRoom(context, asked.srUuid, imageOf(importing, asked.virtualSize))
  // A client that cuts the connection may only have asked: the lease is taken at the first byte.
  const probe = upload.endsWith === 'cut' ? await openStream(importing) : undefined
  if (await probe?.atEnd()) return answerEmpty(importing, vdiUuid)
  const release = context.leases.take(vdiUuid, task.ref ?? 'another import')
  try {
    // Only now: what the last holder of the lease committed is what this import goes on top of.
    const vdi = await findVdi(context, vdiUuid)
    await requireTakes(importing, vdi)
    const body = probe ?? (await openStream(importing))
    task.begin(`Import into ${nameOf(vdi)}`)
    if (await body.atEnd()) throw nothingCame()
    await withUpload(importing, body, (opened) => writeInto(importing, opened, vdi))
    return vdiUuid
  } finally {
    release()
  }
}

/** What is known of the image before its first byte, for the room that it takes. */
const imageOf = (importing: Importing, diskSize?: number): AnnouncedImage => {
  const { format = 'raw', length } = announcementOf(importing)
  return { formatName: format, length, diskSize }
}

/** Opens the body for as long as `work` takes; says what its errors mean. */
const withUpload = async <T>(
  importing: Importing,
  body: ForwardReader,
  work: (opened: OpenedUpload) => Promise<T>,
): Promise<T> => {
  const opened = await openUpload(body, importing)
  try {
    return await work(opened)
  } catch (error) {
    throw opened.form.explain(error)
  } finally {
    await opened.content.close()
  }
}

const writeInto = async (
  importing: Importing,
  opened: OpenedUpload,
  vdi: VdiRow,
): Promise<void> => {
  const { context, request, task, upload } = importing
  const { format, content } = opened
  const diskSize = vdi.virtualSize
  const decoded = await decodeUpload(importing, opened, vdi.srUuid, { diskSize })
  requireFits(decoded.virtualSize, vdi)
  await requireBase(context, vdi, { format: format.name, replace: request.replace, decoded })
  const holdsAll = format.name === 'raw' && !decoded.isDelta
  const isEnough = upload.length !== undefined || request.short !== true
  const reachesEnd = isEnough && content.compressions.length === 0
  const isWhole = holdsAll && reachesEnd && decoded.virtualSize >= vdi.virtualSize
  const keepsContent = !request.replace && !isWhole
  const options = { keepsContent, taskRef: task.ref, work: importing }
  await writeContent(context, vdi, options, async (writer) => {
    await writeUpload(writer, importing, opened, decoded)
  })
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
  const { context, request, task, upload } = importing
  const sr = await findSr(context, srName)
  const srUuid = sr.uuid
  await requireWritableSr(context, srUuid)
  request.requireConditions?.(undefined)
  checkImportNew(announcementOf(importing), sr)
  if (upload.length === 0) throw nothingCame()
  requireWithin(objectBounds, { nameLabel })
  await requireRoom(context, srUuid, imageOf(importing))
  const body = await openStream(importing)
  task.begin(`Import of ${nameLabel === '' ? 'a new VDI' : nameLabel.slice(0, 200)}`)
  if (await body.atEnd()) throw nothingCame()
  return withUpload(importing, body, (opened) => writeNew(importing, opened, sr, nameLabel))
}

/** @returns the uuid of the VDI */
const writeNew = async (
  importing: Importing,
  opened: OpenedUpload,
  sr: SrRow,
  nameLabel: string,
): Promise<string> => {
  const { context, request, task } = importing
  const { format } = opened
  const { size } = request
  const known = size === undefined ? { largestSize: largestNewVdi(sr) } : { diskSize: size }
  const decoded = await decodeUpload(importing, opened, sr.uuid, known)
  const { endSize } = decoded
  requireFitsSize(decoded.virtualSize, size)
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
    srUuid: sr.uuid,
    nameLabel,
    virtualSize: size ?? decoded.virtualSize,
    format: sr.defaultFormat,
  }
  const commit = (sealed: SealedLayer): Promise<void> => {
    const { virtualSize = vdi.virtualSize } = sealed
    return context.catalog.layers.commitNew(sealed, { ...vdi, virtualSize }, task.ref)
  }
  await writeLayer(context, { ...vdi, work: importing, commit }, async (writer) => {
    await writeUpload(writer, importing, opened, decoded)
    return size === undefined ? endSize?.() : undefined
  })
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
