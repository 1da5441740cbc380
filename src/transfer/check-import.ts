// What of an import can be refused before its first byte is read, and by how much an image may
// differ from its VDI. import-vdi.ts asks; nothing here reads or writes.

import type { SrRow } from '../catalog/srs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import { AppError } from '../errors.ts'
import type { FormatName } from '../format-table.ts'
import { MAXIMUM_ROUNDING } from '../formats/virtual-size.ts'
import { formatBytes } from '../units.ts'
import { requireDefaultAllows } from './at-rest-format.ts'
import { vdiTooSmall } from '../object-errors.ts'

/** What is known of an upload before its first byte. */
export interface Announcement {
  /** Undefined: the image is to show it. */
  readonly format: FormatName | undefined
  /** False: the client said nothing, and raw is what that means. */
  readonly isFormatSaid: boolean
  /** In XenServer's own chunks, which have an end of their own. */
  readonly chunked: boolean
  /** Whether it may end before its VDI does. */
  readonly short: boolean
  /** Of the image, in bytes. */
  readonly length: number | undefined
  /** Its end tells that it is whole: it is wrapped in a compression. */
  readonly tellsEnd: boolean
  /** What the client wants the VDI to have, in bytes. */
  readonly size: number | undefined
}

/** The upload holds nothing that could be an image. */
export const nothingCame = (): AppError =>
  new AppError('VDI_IO_ERROR', [
    'Cannot import: no byte came; the body of the request must be the image',
  ])

/**
 * @throws AppError INVALID_VALUE for a `short` or a `size` that does not fit the rest,
 *   VDI_TOO_SMALL for a raw image whose length is more than that of the VDI
 */
export const checkImportInto = (announced: Announcement, vdi: VdiRow): void => {
  requireShortMeant(announced)
  const { size } = announced
  if (size !== undefined && size !== vdi.virtualSize) {
    const found = `The VDI ${vdi.uuid} has ${formatBytes(vdi.virtualSize, size)}, size= says ${formatBytes(size, vdi.virtualSize)}`
    const message = `${found}: leave size= out, it is for new VDIs, or resize the VDI first`
    throw new AppError('INVALID_VALUE', ['size', String(size)], { message })
  }
  // The length of a raw image is its header.
  const advice = announced.isFormatSaid ? '' : ', if it is raw; else say format='
  requireFits(rawLength(announced) ?? 0, vdi, advice)
}

/**
 * @throws AppError INVALID_VALUE where nothing tells how large the VDI is to be, or `size` is less
 *   than the image; VDI_TOO_LARGE for a size that the storage repository cannot hold
 */
export const checkImportNew = (announced: Announcement, sr: SrRow): void => {
  requireShortMeant(announced)
  const { format, chunked, length, size, tellsEnd } = announced
  if (size !== undefined) requireDefaultAllows(size, sr)
  else if (format === 'raw' && chunked) throw sizeUnknown('in chunks')
  else if (format === 'raw' && length === undefined && !tellsEnd) {
    throw sizeUnknown('without a Content-Length')
  }
  requireFitsSize(rawLength(announced) ?? 0, size)
}

/** Of a raw image for a new VDI. @param how it comes */
const sizeUnknown = (how: string): AppError => {
  const found = `Nothing tells how large the VDI is to be: raw ${how} does not`
  const message = `${found}. Say size= (in bytes, or as 10GiB), or name a VDI that is there (vdi=)`
  return new AppError('INVALID_VALUE', ['size', ''], { message })
}

/**
 * @param advice ends the message
 * @throws AppError VDI_TOO_SMALL for an image that is larger by more than rounding
 */
export const requireFits = (imageSize: number, vdi: VdiRow, advice = ''): void => {
  if (imageSize <= vdi.virtualSize + MAXIMUM_ROUNDING) return
  const found = `The image holds a disk of ${formatBytes(imageSize, vdi.virtualSize)}`
  const message = `${found}, the VDI ${vdi.uuid} has ${formatBytes(vdi.virtualSize, imageSize)}${advice}`
  throw vdiTooSmall(vdi.uuid, imageSize, message)
}

/**
 * @param size of the VDI to make; undefined: that of the image
 * @throws AppError INVALID_VALUE for an image that is larger by more than rounding
 */
export const requireFitsSize = (imageSize: number, size: number | undefined): void => {
  if (size === undefined || imageSize <= size + MAXIMUM_ROUNDING) return
  const found = `The image holds a disk of ${formatBytes(imageSize, size)}, size= says ${formatBytes(size, imageSize)}`
  const message = `${found}: a VDI must be at least as large as its image`
  throw new AppError('INVALID_VALUE', ['size', String(size)], { message })
}

const rawLength = ({ format, chunked, length }: Announcement): number | undefined =>
  format === 'raw' && !chunked ? length : undefined

const requireShortMeant = ({ short, format, chunked }: Announcement): void => {
  if (!short || format === undefined) return
  // Old archives of XenServer lack their end mark.
  if (format === 'tar' || (format === 'raw' && !chunked)) return
  const found = chunked && format === 'raw' ? 'the chunks of chunked=true' : `a ${format} image`
  const message = `short=true is for plain raw images and for tar alone: ${found} must come to the end that they tell themselves`
  throw new AppError('INVALID_VALUE', ['short', 'true'], { message })
}
