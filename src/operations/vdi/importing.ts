// What an import works with, from the request to its open body: shared by imports into a VDI that
// is there and by those that make new ones.

import type { AppError } from '../../errors.ts'
import { imageError } from '../../errors.ts'
import type { ArchiveName } from '../../formats/known-forms.ts'
import type { BufferPool } from '../../image/buffer-pool.ts'
import { createForwardReader } from '../../image/forward-reader.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import type { Announcement } from '../../transfer/check-import.ts'
import type { AnnouncedImage } from '../../transfer/require-room.ts'
import type { Turn } from '../../transfer/turns.ts'
import type { UploadSpools } from '../../transfer/upload-spools.ts'
import type { TaskHandle } from '../../transfer/with-task.ts'
import type { OperationContext } from '../context.ts'
import type { ImportRequest, Imported, Upload } from './import-request.ts'
import { openUpload } from './open-upload.ts'
import type { ClaimedFormat, OpenedUpload } from './open-upload.ts'

export interface Importing {
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

export const announcementOf = ({ claim, request, upload }: Importing): Announcement => {
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

/** What is known of the image before its first byte, for the room that it takes. */
export const imageOf = (importing: Importing, diskSize?: number): AnnouncedImage => {
  const { format = 'raw', length } = announcementOf(importing)
  return { formatName: format, length, diskSize }
}

/** Opens the body for as long as `work` takes; says what its errors mean. */
export const withUpload = async <T>(
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

export const newVdisOnly = (archive: ArchiveName): AppError => {
  const found = `an ${archive.toUpperCase()} holds machines, whose disks become new VDIs`
  return imageError('Cannot import', `${found}: say sr_uuid in place of vdi`)
}

export const vdiAlone = (uuid: string): Imported => ({ vdiUuids: [uuid], vmUuids: [] })

export const openStream = async ({
  upload,
  signal,
  turn,
  open,
}: Importing): Promise<ForwardReader> => {
  await open()
  return createForwardReader(upload.accept(turn), signal)
}
