// An image of a VDI, whole or as a delta, ready to be read: what exports and moves send. Most are
// laid out, and have a length; the others are encoded when they are sent.

import assert from 'node:assert/strict'
import type { VdiRow } from '../../catalog/vdis.ts'
import { createMemoryDisk } from '../../disk/memory-disk.ts'
import { createPaddedDisk } from '../../disk/padded-disk.ts'
import type { Disk } from '../../disk/disk.ts'
import { AppError } from '../../errors.ts'
import { formatTable } from '../../format-table.ts'
import type { ImageFormat, ImageIdentity, PlanOptions } from '../../formats/format.ts'
import type { Image } from '../../image/image.ts'
import { vdiTooLarge } from '../../object-errors.ts'
import type { Narrowing } from '../../store/reading/deltas.ts'
import type { OpenedContent } from '../../store/reading/opened-content.ts'
import { inTurnsOf } from '../../transfer/in-turns.ts'
import { createTurnedDisk, measureData } from '../../transfer/turned-disk.ts'
import type { Turn } from '../../transfer/turns.ts'
import { alignUp, SECTOR_SIZE } from '../../units.ts'
import type { OperationContext } from '../context.ts'
import type { AskedForm, ExportOptions } from './export-form.ts'
import { requireForm } from './export-form.ts'
import { isStreamed } from './export-options.ts'

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

export type ExportBody =
  | { readonly kind: 'planned'; readonly image: Image }
  | { readonly kind: 'streamed'; readonly encode: Encode }

/**
 * The image from its first byte to its last; to be called once, and to be read or left before the
 * export is closed.
 */
type Encode = (work: EncodeWork) => AsyncGenerator<Uint8Array, void, undefined>

interface EncodeWork {
  readonly signal: AbortSignal
  readonly turn: Turn
  /** Told how much of the disk has been read, 0 to 1. */
  readonly onProgress: (fraction: number) => void
}

interface OpenedExport {
  readonly format: ImageFormat
  /** Those of the request and of the place, spelled as the format does. */
  readonly options: ExportOptions
  readonly opened: OpenedContent
  readonly body: ExportBody
  /** Closes the content. */
  readonly close: () => Promise<void>
}

/**
 * Opens what is asked for; no data is read but what a comparison needs.
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
  const { sizeUnit = SECTOR_SIZE } = options
  const disk = createPaddedDisk(opened.disk, alignUp(opened.disk.size, sizeUnit))
  const identity = identityOf(vdi, baseVdi)
  try {
    if (isStreamed(format, options)) {
      requireEncodable(format, disk.size, identity, options)
      const body = { kind: 'streamed', encode: encoderOf(format, disk, identity, options) } as const
      return { format, options, opened, body, close: () => disk.close() }
    }
    const image = await format.plan(disk, identity, options)
    return { format, options, opened, body: { kind: 'planned', image }, close: () => image.close() }
  } catch (error) {
    await disk.close()
    throw error
  }
}

/** As openExport, for those whose options ask for nothing that is streamed. */
export const openPlan = async (
  context: OperationContext,
  request: ExportRequest,
  work: ExportWork,
): Promise<{ readonly image: Image; readonly opened: OpenedContent }> => {
  const { body, opened } = await openExport(context, request, work)
  assert(body.kind === 'planned', `${request.formatName ?? 'raw'} has no length`)
  return { image: body.image, opened }
}

/** What `plan` refuses of the images that it lays out. */
const requireEncodable = (
  { name, maximumSize }: ImageFormat,
  size: number,
  { uuid, base }: ImageIdentity,
  { subformat = name }: PlanOptions,
): void => {
  if (size > maximumSize) throw vdiTooLarge(uuid, maximumSize)
  if (formatTable[name].exportsDeltas) return
  const reason = `there is no ${subformat} delta, ask for vhd or qcow2`
  if (base !== undefined) throw new AppError('VALUE_NOT_SUPPORTED', ['base', base.uuid, reason])
}

const encoderOf = (
  format: ImageFormat,
  disk: Disk,
  identity: ImageIdentity,
  options: PlanOptions,
): Encode =>
  async function* encode({ signal, turn, onProgress }) {
    assert(format.encode !== undefined, `${format.name} has no encoder`)
    const total = (await measureData(disk)) * (format.encodePasses ?? 1)
    let read = 0
    const turned = createTurnedDisk(disk, turn, (bytes) => {
      read += bytes
      // Whole units are read, a little more than what holds data.
      onProgress(Math.min(1, read / total))
    })
    yield* format.encode(turned, identity, { ...options, signal })
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
      const identity = identityOf(vdi, base)
      if (isStreamed(format, options)) {
        requireEncodable(format, vdi.virtualSize, identity, options)
        return
      }
      const empty = createMemoryDisk(vdi.virtualSize)
      await (await format.plan(empty, identity, options)).close()
    },
  })
}

export const identityOf = (vdi: VdiRow, base: VdiRow | undefined): ImageIdentity => ({
  uuid: vdi.uuid,
  timestamp: contentTime(vdi),
  ...(base === undefined ? {} : { base: { uuid: base.uuid, timestamp: contentTime(base) } }),
})

/** When the content was sealed; that of an empty VDI when the VDI was made. */
const contentTime = (vdi: VdiRow): Date => vdi.contentAt ?? vdi.createdAt
