// The format that a VDI lies in: what a storage repository holds, and how large a disk each format
// can be. Asked before anything is made.

import type { SrRow } from '../catalog/srs.ts'
import type { VdiRow } from '../catalog/vdis.ts'
import type { FormatName } from '../format-table.ts'
import { formatsAtRest } from '../format-table.ts'
import { formats } from '../formats/registry.ts'
import { formatBytes, MAXIMUM_DISK_SIZE } from '../units.ts'
import { formatNotSupported, vdiTooLarge } from '../object-errors.ts'

/**
 * @param name as the client wrote it
 * @throws AppError VDI_INCOMPATIBLE_TYPE [SR, sentence] for one that the storage repository does
 *   not hold
 */
export const requireSupported = (name: string, sr: SrRow): FormatName => {
  // A storage manager that names no formats is not checked, as in XenServer.
  const supported = sr.supportedFormats.length === 0 ? formatsAtRest : sr.supportedFormats
  const format = supported.find((known) => known === name.toLowerCase())
  if (format !== undefined) return format
  throw formatNotSupported(name, sr.uuid)
}

/**
 * What a VDI that comes from elsewhere lies in: what it once asked for where that is held, else the
 * default.
 */
export const formatFor = (
  { requestedFormat }: Pick<VdiRow, 'requestedFormat'>,
  sr: SrRow,
): Pick<VdiRow, 'format' | 'requestedFormat'> =>
  requestedFormat !== null && sr.supportedFormats.includes(requestedFormat)
    ? { format: requestedFormat, requestedFormat }
    : { format: sr.defaultFormat, requestedFormat: null }

/**
 * @param size virtual, in bytes
 * @param uuid of the VDI; undefined where there is none yet
 * @throws AppError VDI_TOO_LARGE [VDI, maximum]
 */
export const requireSizeAllowed = (size: number, format: FormatName, uuid?: string): void => {
  const maximum = maximumOf(format)
  if (size <= maximum) return
  const message = `VDI Invalid size: a VDI in ${format} has ${limitOn(size, maximum)}`
  throw vdiTooLarge(uuid, maximum, message)
}

/**
 * The same for a new VDI whose maker cannot say a format: an image that is uploaded says only its
 * own.
 * @throws AppError VDI_TOO_LARGE that names the default format of the storage repository, and the
 *   way around it
 */
export const requireDefaultAllows = (size: number, sr: SrRow): void => {
  const { uuid, defaultFormat, supportedFormats } = sr
  const maximum = maximumOf(defaultFormat)
  if (size <= maximum) return
  const found = `New VDIs in the SR ${uuid} are ${defaultFormat} by default, with ${limitOn(size, maximum)}`
  const larger = supportedFormats.find((format) => size <= maximumOf(format))
  const advice = `make a VDI with sm_config:image-format=${larger} first, and import into it`
  const message = larger === undefined ? found : `${found}: ${advice}`
  throw vdiTooLarge(undefined, maximum, message)
}

/** The largest VDI that an upload can make there, in bytes. */
export const largestNewVdi = ({ defaultFormat }: SrRow): number => maximumOf(defaultFormat)

const maximumOf = (format: FormatName): number =>
  Math.min(MAXIMUM_DISK_SIZE, formats[format].maximumSize)

const limitOn = (size: number, maximum: number): string =>
  `at most ${formatBytes(maximum, size)}, not ${formatBytes(size, maximum)}`
