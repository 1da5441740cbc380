// The use case of every import: checks all that can be refused before a byte is read, decodes the
// stream into a new layer, and makes it the VDI's content in one step. Archives of machines it
// hands on. Knows no HTTP.

import type { VdiRow } from '../catalog/vdis.ts'
import { createBufferPool } from '../image/buffer-pool.ts'
import { requireData } from '../store/reading/require-data.ts'
import { checkImportInto, nothingCame, requireFits } from '../transfer/check-import.ts'
import { findVdi, nameOf, requireWritable, requireWritableSr } from '../transfer/find.ts'
import { requireBase } from '../transfer/require-base.ts'
import { requireRoom } from '../transfer/require-room.ts'
import { createUploadSpools } from '../transfer/upload-spools.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import { writeContent } from '../transfer/write-layer.ts'
import { KiB } from '../units.ts'
import type { OperationContext } from './context.ts'
import { importNew } from './vdi/import-new.ts'
import type { ImportRequest, Imported, Upload } from './vdi/import-request.ts'
import {
  announcementOf,
  imageOf,
  newVdisOnly,
  openStream,
  vdiAlone,
  withUpload,
} from './vdi/importing.ts'
import type { Importing } from './vdi/importing.ts'
import { readClaim, requireClaimMeant } from './vdi/open-upload.ts'
import type { OpenedUpload } from './vdi/open-upload.ts'
import { decodeUpload, writeUpload } from './vdi/write-upload.ts'

/** Bytes read at a time, and how many such pieces may wait to be written. */
const pieceSize = 256 * KiB
const pieceCount = 16

/**
 * Runs an import as one transfer. On a throw the VDI is as it was and nothing is left behind.
 * @returns the VDI; of an archive all that was made
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
): Promise<Imported> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const { target } = request
    const claim = readClaim(request)
    requireClaimMeant(claim, request)
    const buffers = createBufferPool(pieceCount, pieceSize)
    const spools = createUploadSpools(context)
    const waits = { signal, turn, open }
    const importing = { context, request, task, upload, claim, buffers, spools, ...waits }
    try {
      if (!('vdiUuid' in target)) {
        return await importNew(importing, target)
      }
      return vdiAlone(await importInto(importing, target.vdiUuid))
    } finally {
      buffers.close()
      await spools.close()
    }
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

const writeInto = async (
  importing: Importing,
  opened: OpenedUpload,
  vdi: VdiRow,
): Promise<void> => {
  if (opened.archive !== undefined) throw newVdisOnly(opened.archive)
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

/** Checks the client's conditions against what the VDI shows now. */
const requireConditions = async ({ context, request }: Importing, asked: VdiRow): Promise<void> => {
  if (request.requireConditions === undefined) return
  // A file of others may have changed since its row was written: opening looks.
  const { disk, vdi } = await context.storage.contents.openRuns(asked.uuid)
  await disk.close()
  request.requireConditions(vdi)
}
