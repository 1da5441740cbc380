// An image of a VDI, whole or as a delta, laid out and ready to be read: what exports and moves
// send.

import type { VdiRow } from '../../catalog/vdis.ts'
import { createMemoryDisk } from '../../disk/memory-disk.ts'
import { AppError } from '../../errors.ts'
import { formatTable } from '../../format-table.ts'
import type { ImageFormat, ImageIdentity, PlanOptions } from '../../formats/format.ts'
import { requireFormat } from '../../formats/registry.ts'
import type { Image } from '../../image/image.ts'
import type { Narrowing } from '../../store/reading/deltas.ts'
import type { OpenedContent } from '../../store/reading/opened-content.ts'
import { inTurnsOf } from '../../transfer/in-turns.ts'
import type { OperationContext } from '../context.ts'

export interface ExportRequest {
  readonly vdiUuid: string
  /** As the client wrote it. */
  readonly formatName: string
  /** Only what differs from this VDI. */
  readonly baseUuid?: string
  /** Of a delta: whether content is compared before it is planned. Default `small`. */
  readonly narrow?: Narrowing
  readonly options: PlanOptions
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
  /** Those of the request, spelled as the format does. */
  readonly options: PlanOptions
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
  const format = requireFormat(request.formatName)
  const options = requireOptions(format, request)
  const opened = await openContent(context, { ...request, ...work, format, options })
  const { vdi, baseVdi } = opened
  try {
    const image = await format.plan(opened.disk, identityOf(vdi, baseVdi), options)
    return { format, options, opened, image }
  } catch (error) {
    await opened.disk.close()
    throw error
  }
}

/** Takes the name of a subformat in any case. */
const requireOptions = ({ name }: ImageFormat, { options }: ExportRequest): PlanOptions => {
  const { subformat } = options
  if (subformat === undefined) return options
  const { subformats } = formatTable[name]
  const known = subformats.find((each) => each.toLowerCase() === subformat.toLowerCase())
  if (known !== undefined) return { ...options, subformat: known }
  const found =
    subformats.length === 0
      ? `${name} has no subformats, leave it out`
      : `must be one of ${subformats.join(', ')} for ${name}`
  throw new AppError('VALUE_NOT_SUPPORTED', ['subformat', subformat.slice(0, 64), found])
}

interface ContentRequest extends ExportRequest, ExportWork {
  readonly format: ImageFormat
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
