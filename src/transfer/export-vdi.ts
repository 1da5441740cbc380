// The use case of every export: checks all that can be refused, plans the image, and lends it to the
// caller for as long as it takes to send. Knows no HTTP; routes/export-raw-vdi calls it.

import { createHash } from 'node:crypto'
import type { VdiRow } from '../catalog/vdis.ts'
import type { FormatName, ImageIdentity, PlanOptions } from '../formats/format.ts'
import { requireFormat } from '../formats/registry.ts'
import type { Image } from '../image/image.ts'
import type { OpenedVdi } from '../store/storage.ts'
import type { TransferContext } from './context.ts'
import { findVdi } from './find.ts'
import type { TaskHandle } from './with-task.ts'

/** Part of every ETag: raised when a plan lays out its bytes differently than before. */
const planVersion = 1

export interface ExportRequest {
  readonly vdiUuid: string
  /** As the client wrote it. */
  readonly formatName: string
  /** Only what differs from this VDI. */
  readonly baseUuid?: string
  readonly options: PlanOptions
}

/** An image on loan: valid until `deliver` returns. */
export interface ReadyExport {
  readonly image: Image
  /** Strong: the same tag means the same bytes. Quoted, as HTTP wants it. */
  readonly etag: string
  readonly mediaType: string
  readonly fileName: string
  /** Aborted when the task is cancelled or the server stops. */
  readonly signal: AbortSignal
  /**
   * To be asked when all has been read, before the last bytes go out.
   * @throws AppError VDI_IO_ERROR where a file was changed by others, so that what was read may be neither old nor new
   */
  readonly verify: () => Promise<void>
}

/** Sends the image. Throws where a part could not be read, and TASK_CANCELLED where the client left. */
export type Deliver = (ready: ReadyExport) => Promise<void>

/**
 * Runs an export as one transfer. What it throws before it calls `deliver` is a refusal.
 * @throws AppError HANDLE_INVALID, UnknownFormatError, VALUE_NOT_SUPPORTED, VDI_TOO_LARGE, TOO_BUSY, or what `deliver` throws
 */
export const exportVdi = (
  context: TransferContext,
  request: ExportRequest,
  task: TaskHandle,
  deliver: Deliver,
): Promise<void> =>
  context.transfers.run(task.ref, async (signal) => {
    const { baseUuid, options } = request
    const format = requireFormat(request.formatName)
    const asked = await findVdi(context, request.vdiUuid)
    const askedBase = baseUuid === undefined ? undefined : await findVdi(context, baseUuid)
    const opened = await context.storage.openVdi(asked, askedBase)
    const { vdi, baseVdi: base } = opened
    const image = await planOrClose(opened, () =>
      format.plan(opened.disk, identityOf(vdi, base), options),
    )
    try {
      await deliver({
        image,
        etag: etagOf(vdi, base, format.name, options),
        mediaType: format.mediaType,
        fileName: `${vdi.uuid}.${format.name}`,
        signal,
        verify: () => opened.verify(),
      })
    } finally {
      await image.close()
    }
  })

const planOrClose = async (opened: OpenedVdi, plan: () => Promise<Image>): Promise<Image> => {
  try {
    return await plan()
  } catch (error) {
    await opened.disk.close()
    throw error
  }
}

const identityOf = (vdi: VdiRow, base: VdiRow | undefined): ImageIdentity => ({
  uuid: vdi.uuid,
  timestamp: contentTime(vdi),
  ...(base === undefined ? {} : { base: { uuid: base.uuid, timestamp: contentTime(base) } }),
})

/** When the content was sealed; that of an empty VDI when the VDI was made. */
const contentTime = (vdi: VdiRow): Date => vdi.contentAt ?? vdi.createdAt

/** Everything that the bytes depend on: content, size, format and options. */
const etagOf = (
  vdi: VdiRow,
  base: VdiRow | undefined,
  format: FormatName,
  options: PlanOptions,
): string => {
  const disks = [vdi, base].map((disk) => [disk?.uuid, disk?.contentUuid, disk?.virtualSize])
  const parts = [planVersion, disks, format, options.subformat, options.delta]
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
  return `"${digest.slice(0, 32)}"`
}
