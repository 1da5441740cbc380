// The batmap: XenServer's addition to images that its own tools made. A bit for each block, set
// where all of the block is written, so that its sector bitmap need not be read. In the sector
// after the table stands its header, then come the bits.

import { viewOf } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { alignUp, MiB, SECTOR_SIZE } from '../../units.ts'
import { BLOCK_SIZE, MAXIMUM_TABLE_ENTRIES } from './constants.ts'
import type { Footer } from './footer.ts'
import { XEN_CREATOR } from './footer.ts'
import type { ValuesOf } from './structure.ts'
import { characters, readFields, uint32, uint64, writeFields } from './structure.ts'

const offsetAt = 8

const batmapFields = {
  cookie: characters(0, 8),
  /** Of the bits. */
  offset: uint64(offsetAt),
  /** Of the bits, in sectors. */
  sectors: uint32(16),
  version: uint32(20),
  /** Of the bits. */
  checksum: uint32(24),
}

type BatmapHeader = ValuesOf<typeof batmapFields>

const batmapCookie = 'tdbatmap'
const batmapVersion = 0x00010002

/** In this version bytes were summed as signed ones. */
const signedVersion = 0x00010001

/** Of an offset that is a safe integer. */
const largestHighHalf = 2 ** 21 - 1

const maximumSectors = MAXIMUM_TABLE_ENTRIES / 8 / SECTOR_SIZE

/** Bytes of the bits for so many blocks, in whole sectors. */
export const batmapSize = (blocks: number): number => alignUp(Math.ceil(blocks / 8), SECTOR_SIZE)

/**
 * How many blocks XenServer's tools sum up and look at: they count whole 16 MiB of the disk, so
 * just above a multiple of 8 GiB the last blocks are left out. Their bits are written as clear,
 * which only means "see the sector bitmap", and so both ways of counting give one checksum.
 */
export const batmapCoverage = (virtualSize: number): number =>
  8 * Math.max(SECTOR_SIZE, alignUp(Math.floor(virtualSize / (16 * MiB)), SECTOR_SIZE))

/**
 * How many blocks, from the first on, may have their bits set where we write: those that
 * XenServer's tools look at and that lie wholly on the disk. A set bit makes `vhd-util coalesce`
 * copy all of the block, and beyond the disk's end it fails, with the parent half merged.
 */
export const markableBlocks = (virtualSize: number): number =>
  Math.min(batmapCoverage(virtualSize), Math.floor(virtualSize / BLOCK_SIZE))

/** The header's sector, for bits of `size` bytes right after it whose bytes add up to `sum`. */
export const encodeBatmapHeader = (offset: number, size: number, sum: number): Uint8Array =>
  writeFields(
    batmapFields,
    {
      cookie: batmapCookie,
      offset: offset + SECTOR_SIZE,
      sectors: size / SECTOR_SIZE,
      version: batmapVersion,
      checksum: ~sum >>> 0,
    },
    SECTOR_SIZE,
  )

/** What the byte with the bit of `block` is worth in the sum. */
export const bitWeight = (block: number): number => 0x80 >>> (block & 7)

interface BatmapPlace {
  readonly footer: Footer
  readonly virtualSize: number
  /** Blocks of the disk. */
  readonly blocks: number
  /** Where the table ends. */
  readonly offset: number
  /** Where the image's content ends. */
  readonly end: number
}

interface FoundBatmap {
  /** A bit for each block, possibly fewer: then the rest is clear. */
  readonly bits: Uint8Array
  readonly offset: number
  readonly length: number
}

/** The batmap; undefined where there is none, or one that is damaged: it is only a shortcut. */
export const readBatmap = async (
  image: Image,
  { footer, virtualSize, blocks, offset, end }: BatmapPlace,
): Promise<FoundBatmap | undefined> => {
  if (footer.creator !== XEN_CREATOR || offset + SECTOR_SIZE > end) return undefined
  const sector = new Uint8Array(SECTOR_SIZE)
  await image.read(offset, sector)
  const header = parseBatmapHeader(sector, end)
  if (header === undefined) return undefined
  const bits = new Uint8Array(header.sectors * SECTOR_SIZE)
  await image.read(header.offset, bits)
  const covered = bits.subarray(0, batmapCoverage(virtualSize) / 8)
  if (![bits, covered].some((bytes) => checksumOf(bytes, header.version) === header.checksum)) {
    return undefined
  }
  const length = header.offset + bits.length - offset
  return { bits: bits.subarray(0, Math.ceil(blocks / 8)), offset, length }
}

/** Undefined for what is no header, or tells of bits that cannot be there. */
const parseBatmapHeader = (sector: Uint8Array, end: number): BatmapHeader | undefined => {
  // Only what has the cookie is looked into further: the rest may be anything.
  if (batmapFields.cookie.read(viewOf(sector), '') !== batmapCookie) return undefined
  if (viewOf(sector).getUint32(offsetAt) > largestHighHalf) return undefined
  const header = readFields(batmapFields, sector, 'batmap')
  const { version, sectors, offset } = header
  if (version > batmapVersion || sectors === 0 || sectors > maximumSectors) return undefined
  return offset + sectors * SECTOR_SIZE <= end ? header : undefined
}

const checksumOf = (bytes: Uint8Array, version: number): number => {
  const isSigned = version === signedVersion
  let sum = 0
  for (const byte of bytes) sum += isSigned && byte > 127 ? byte - 256 : byte
  return ~sum >>> 0
}
