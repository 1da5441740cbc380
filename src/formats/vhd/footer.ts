// The footer: what a VHD is and how large. It closes every VHD; dynamic and differencing ones begin
// with a copy of it.

import { imageError } from '../../errors.ts'
import { viewOf } from '../../image/binary.ts'
import { SECTOR_SIZE } from '../../units.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import {
  diskTypes,
  FOOTER_SIZE,
  footerCookie,
  FORMAT_VERSION,
  MAXIMUM_VHD_SIZE,
  SHORT_FOOTER_SIZE,
} from './constants.ts'
import { geometryOf, maximumGeometry, sectorsOf } from './geometry.ts'
import type { ValuesOf } from './structure.ts'
import {
  characters,
  checksumWithout,
  offset64,
  opaque,
  readFields,
  uint16,
  uint32,
  uint64,
  uint8,
  uuid,
  writeFields,
} from './structure.ts'

const checksumAt = 64
const hiddenAt = 85

// VHD, "Hard Disk Footer Format"; `hidden` is XenServer's, in bytes that are reserved there.
const footerFields = {
  cookie: characters(0, 8),
  features: uint32(8),
  formatVersion: uint32(12),
  /** Of the header; nothing in a fixed disk. */
  dataOffset: offset64(16),
  timestamp: uint32(24),
  creator: characters(28, 4),
  creatorVersion: uint32(32),
  creatorSystem: opaque(36, 4),
  originalSize: uint64(40),
  currentSize: uint64(48),
  cylinders: uint16(56),
  heads: uint8(58),
  sectorsPerTrack: uint8(59),
  diskType: uint32(60),
  checksum: uint32(checksumAt),
  uuid: uuid(68),
  savedState: uint8(84),
  hidden: uint8(hiddenAt),
}

export type Footer = ValuesOf<typeof footerFields>

/** The creator whose current_size qemu believes, and that XenServer takes for its own. */
export const XEN_CREATOR = 'tap\0'

/** 1.3: from 1.2 on a dynamic image of this creator has a batmap. */
const xenCreatorVersion = 0x00010003

/** A bit that is always set. */
const reservedFeature = 2

/** These mean cylinders × heads × sectors, and may say more in current_size. */
const geometryCreators = new Set(['vpc ', 'qemu', 'vs  '])

export const hasFooterCookie = (bytes: Uint8Array): boolean =>
  footerFields.cookie.read(viewOf(bytes), '') === footerCookie

/** What XenServer's tools put in its place while they change an image under a journal. */
const poisonedCookie = 'v_poison'

/**
 * Refuses an image whose resizing was interrupted: its blocks are half moved, and the journal that
 * undoes it is a file of its own.
 * @param bytes 512, of a footer or its copy; what a guest wrote there is told by the checksum
 * @throws AppError IMPORT_ERROR_GENERIC
 */
export const refusePoisoned = (bytes: Uint8Array, what: string): void => {
  const view = viewOf(bytes)
  if (footerFields.cookie.read(view, '') !== poisonedCookie) return
  if (footerFields.checksum.read(view, '') !== checksumWithout(bytes, checksumAt)) return
  const revert = 'vhd-util revert -n disk.vhd -j disk.vhd.journal'
  throw imageError(what, `its resizing was interrupted: undo it by its journal first (${revert})`)
}

/**
 * @param bytes 512 bytes; of a short footer 511 and a zero
 * @throws AppError IMPORT_ERROR_GENERIC naming the field that is wrong
 */
export const parseFooter = (bytes: Uint8Array, what: string): Footer => {
  refusePoisoned(bytes, what)
  if (!hasFooterCookie(bytes)) {
    throw imageError(what, `the footer starts with ${firstBytes(bytes)}, not "${footerCookie}"`)
  }
  const footer = readFields(footerFields, bytes, `${what}: footer`)
  const checksum = checksumWithout(bytes, checksumAt)
  if (footer.checksum !== checksum && !isHiddenLater(footer, bytes)) {
    throw imageError(
      what,
      `the footer's checksum is ${hex32(footer.checksum)}, its bytes give ${hex32(checksum)}`,
    )
  }
  if (footer.formatVersion !== FORMAT_VERSION) {
    throw imageError(
      what,
      `the footer's version is ${hex32(footer.formatVersion)}, not ${hex32(FORMAT_VERSION)}`,
    )
  }
  if (!Object.values<number>(diskTypes).includes(footer.diskType)) {
    throw imageError(
      what,
      `the disk type is ${footer.diskType}, must be 2 (fixed), 3 (dynamic) or 4 (differencing)`,
    )
  }
  return footer
}

/** Early XenServer tools marked an image as hidden without a new checksum. */
const isHiddenLater = (footer: Footer, bytes: Uint8Array): boolean => {
  if (footer.hidden === 0 || footer.creator !== XEN_CREATOR) return false
  const before = new Uint8Array(bytes)
  before[hiddenAt] = 0
  return checksumWithout(before, checksumAt) === footer.checksum
}

/** What the footer parses to; undefined where the bytes are no valid footer. */
export const tryParseFooter = (bytes: Uint8Array): Footer | undefined => {
  if (!hasFooterCookie(bytes)) return undefined
  try {
    return parseFooter(bytes, '')
  } catch {
    return undefined
  }
}

/**
 * The virtual size by the rule of the creator, checked.
 * @throws AppError IMPORT_ERROR_GENERIC where a VHD cannot be this large or this small
 */
export const virtualSizeOf = (footer: Footer, what: string): number => {
  const size = geometryDecides(footer) ? sectorsOf(footer) * SECTOR_SIZE : footer.currentSize
  requireVirtualSize(what, size, MAXIMUM_VHD_SIZE)
  return size
}

/**
 * Whether these 512 bytes close a fixed VHD of `size` bytes, by either of the two sizes that a
 * footer tells.
 */
export const closesFixedDisk = (bytes: Uint8Array, size: number): boolean => {
  const footer = bytes.length === FOOTER_SIZE ? tryParseFooter(bytes) : undefined
  if (footer?.diskType !== diskTypes.fixed) return false
  return [footer.currentSize, sectorsOf(footer) * SECTOR_SIZE].includes(size)
}

// A disk of the maximum geometry does not fit it: then current_size is meant after all.
const geometryDecides = (footer: Footer): boolean =>
  geometryCreators.has(footer.creator) && sectorsOf(footer) !== sectorsOf(maximumGeometry)

/** How long the closing footer of an image of `size` bytes is: all else comes in whole sectors. */
export const closingFooterSize = (size: number): number =>
  size % SECTOR_SIZE === SHORT_FOOTER_SIZE ? SHORT_FOOTER_SIZE : FOOTER_SIZE

interface NewFooter {
  readonly diskType: number
  readonly size: number
  readonly uuid: string
  readonly timestamp: Date
}

/** The 512 bytes of a footer; the header of a dynamic or differencing image follows it. */
export const encodeFooter = ({ diskType, size, uuid, timestamp }: NewFooter): Uint8Array => {
  const bytes = writeFields(
    footerFields,
    {
      cookie: footerCookie,
      features: reservedFeature,
      formatVersion: FORMAT_VERSION,
      dataOffset: diskType === diskTypes.fixed ? undefined : FOOTER_SIZE,
      timestamp: vhdTime(timestamp),
      creator: XEN_CREATOR,
      creatorVersion: xenCreatorVersion,
      creatorSystem: new Uint8Array(4),
      originalSize: size,
      currentSize: size,
      ...geometryOf(size),
      diskType,
      checksum: 0,
      uuid,
      savedState: 0,
      hidden: 0,
    },
    FOOTER_SIZE,
  )
  viewOf(bytes).setUint32(checksumAt, checksumWithout(bytes, checksumAt))
  return bytes
}

const epoch = Date.UTC(2000, 0, 1)

/** Whole seconds since 2000-01-01 UTC, within what 32 bits hold. */
export const vhdTime = (date: Date): number =>
  Math.min(Math.max(Math.floor((date.getTime() - epoch) / 1000), 0), 0xffffffff)

/** A 32-bit field as it stands in messages: `0x00010000`. */
export const hex32 = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`

/** The first 8 bytes, for the message about something that is no VHD: `51 46 49 fb 00 00 00 03`. */
export const firstBytes = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ')
