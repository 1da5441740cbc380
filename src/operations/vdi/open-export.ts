// An image of a VDI, whole or as a delta, laid out and ready to be read: what exports and moves
// send.

import type { VdiRow } from '../../catalog/vdis.ts'
import { createMemoryDisk } from '../../disk/memory-disk.ts'
import { createPaddedDisk } from '../../disk/padded-disk.ts'
import type { ImageFormat, ImageIdentity } from '../../formats/format.ts'
import type { Image } from '../../image/image.ts'
import type { Narrowing } from '../../store/reading/deltas.ts'
import type { OpenedContent } from '../../store/reading/opened-content.ts'
import { inTurnsOf } from '../../transfer/in-turns.ts'
import { alignUp, SECTOR_SIZE } from '../../units.ts'
import type { OperationContext } from '../context.ts'
import type { AskedForm, ExportOptions } from './export-form.ts'
import { requireForm } from './export-form.ts'

export interface ExportRequest extends AskedForm {
  readonly vdiUuid: string
  /** Only what differs from this VDI. */
  readonly baseUuid?: string
  /** Of a delta: whether content is compared before it is planned. Default `small`. */
  readonly narrow?: Narrowing
  /** Aborted when the client has left: the work before the first byte ends then. */
  readonly clientLeft?: AbortSignal
}

interface ExportWork {
  /** The name of whoever it is for. */
  readonly user: string | undefined
  readonly signal: AbortSignal
  /** Told how far a comparison of content is that comes first, 0 to 1. */
  readonly onProgress?: (fraction: number) => void
}

/** The caller closes the image, which closes the content. */
interface OpenedExport {
  readonly format: ImageFormat
  /** Those of the request and of the place, spelled as the format does. */
  readonly options: ExportOptions
  readonly opened: OpenedContent
  readonly image: Image
}

/**
 * Opens what is asked for and lays out its image; no data is read but what a comparison needs.
 * @throws AppError HANDLE_INVALID, VALUE_NOT_SUPPORTED, VDI_INCOMPATIBLE_TYPE, VDI_TOO_LARGE
 */
export const openExport = async (
  context: OperationContext,
  request: ExportRequest,
  work: ExportWork,
): Promise<OpenedExport> => {
  const { format, options } = requireForm(request)
  const opened = await openContent(context, { ...request, ...work, format, options })
  const { vdi, baseVdi } = opened
  try {
    const { sizeUnit = SECTOR_SIZE } = options
    const disk = createPaddedDisk(opened.disk, alignUp(opened.disk.size, sizeUnit))
    const image = await format.plan(disk, identityOf(vdi, baseVdi), options)
    return { format, options, opened, image }
  } catch (error) {
    await opened.disk.close()
    throw error
  }
}

interface ContentRequest extends ExportRequest, ExportWork {
  readonly format: ImageFormat
  readonly options: ExportOptions
}

const openContent = (
  { storage: { contents }, transfers }: OperationContext,
  { vdiUuid, baseUuid, format, options, user, ...request }: ContentRequest,
): Promise<OpenedContent> => {
  if (baseUuid === undefined) return contents.open(vdiUuid)
  const { narrow = 'small', clientLeft, signal, onProgress = () => {} } = request
  return contents.openDelta(vdiUuid, baseUuid, {
    narrow,
    signal: clientLeft === undefined ? signal : AbortSignal.any([signal, clientLeft]),
    onProgress,
    inTurns: inTurnsOf(transfers, user),
    // What the format cannot carry is refused before content is compared.
    async check(vdi, base) {
      const empty = createMemoryDisk(vdi.virtualSize)
      await (await format.plan(empty, identityOf(vdi, base), options)).close()
    },
  })
}

const identityOf = (vdi: VdiRow, base: VdiRow | undefined): ImageIdentity => ({
  uuid: vdi.uuid,
  timestamp: contentTime(vdi),
  ...(base === undefined ? {} : { base: { uuid: base.uuid, timestamp: contentTime(base) } }),
})

/** When the content was sealed; that of an empty VDI when the VDI was made. */
const contentTime = (vdi: VdiRow): Date => vdi.contentAt ?? vdi.createdAt
