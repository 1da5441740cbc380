// The header of dynamic and differencing images: where the table is, how large blocks are, who the
// parent is.

import { imageError } from '../../errors.ts'
import { hex, viewOf } from '../../image/binary.ts'
import { formatBytes, SECTOR_SIZE } from '../../units.ts'
import {
  BLOCK_SIZE,
  FORMAT_VERSION,
  HEADER_SIZE,
  headerCookie,
  MAXIMUM_BLOCK_SIZE,
  MAXIMUM_TABLE_ENTRIES,
  MINIMUM_BLOCK_SIZE,
} from './constants.ts'
import { firstBytes, hex32, vhdTime } from './footer.ts'
import type { ParentLocator } from './parent-locator.ts'
import { locatorEntries } from './parent-locator.ts'
import type { ValuesOf } from './structure.ts'
import {
  characters,
  checksumWithout,
  offset64,
  opaque,
  readFields,
  uint32,
  uint64,
  uuid,
  writeFields,
} from './structure.ts'

const checksumAt = 36
const parentNameSize = 512

// VHD, "Dynamic Disk Header Format".
const headerFields = {
  cookie: characters(0, 8),
  /** Of a next structure, which there never is. */
  dataOffset: offset64(8),
  tableOffset: uint64(16),
  headerVersion: uint32(24),
  tableEntries: uint32(28),
  blockSize: uint32(32),
  checksum: uint32(checksumAt),
  parentUuid: uuid(40),
  parentTimestamp: uint32(56),
  /** UTF-16, most significant byte first, zeros behind. */
  parentName: opaque(64, parentNameSize),
  locators: locatorEntries(576),
}

export type Header = ValuesOf<typeof headerFields>

/**
 * @param bytes 1024 bytes
 * @param virtualSize what the table must cover
 * @throws AppError IMPORT_ERROR_GENERIC naming the field that is wrong
 */
export const parseHeader = (bytes: Uint8Array, virtualSize: number, what: string): Header => {
  const header = readFields(headerFields, bytes, `${what}: header`)
  if (header.cookie !== headerCookie) {
    throw imageError(what, `the header starts with ${firstBytes(bytes)}, not "${headerCookie}"`)
  }
  const checksum = checksumWithout(bytes, checksumAt)
  if (header.checksum !== checksum) {
    throw imageError(
      what,
      `the header's checksum is ${hex32(header.checksum)}, its bytes give ${hex32(checksum)}`,
    )
  }
  if (header.headerVersion !== FORMAT_VERSION) {
    throw imageError(
      what,
      `the header's version is ${hex32(header.headerVersion)}, not ${hex32(FORMAT_VERSION)}`,
    )
  }
  requireBlocks(header, virtualSize, what)
  return header
}

const requireBlocks = (header: Header, virtualSize: number, what: string): void => {
  const { blockSize, tableEntries, tableOffset } = header
  const isPowerOfTwo = blockSize > 0 && (blockSize & (blockSize - 1)) === 0
  if (!isPowerOfTwo || blockSize < MINIMUM_BLOCK_SIZE || blockSize > MAXIMUM_BLOCK_SIZE) {
    const found = `the block size is ${blockSize}, must be a power of two from 512 KiB to 256 MiB`
    throw imageError(what, found)
  }
  if (tableEntries > MAXIMUM_TABLE_ENTRIES) {
    const found = `the table has ${tableEntries} entries, the limit is ${MAXIMUM_TABLE_ENTRIES}`
    throw imageError(what, found)
  }
  if (tableEntries * blockSize < virtualSize) {
    throw imageError(
      what,
      `the table has ${tableEntries} entries for blocks of ${formatBytes(blockSize)}, the virtual size is ${formatBytes(virtualSize)}`,
    )
  }
  if (tableOffset % SECTOR_SIZE !== 0) {
    throw imageError(what, `the table's offset ${hex(tableOffset)} is not a multiple of 512`)
  }
}

interface NewHeader {
  readonly tableOffset: number
  readonly tableEntries: number
  readonly parent?: NewParent
}

interface NewParent {
  readonly uuid: string
  readonly timestamp: Date
  /** Name of its file in the same folder. */
  readonly fileName: string
  readonly locators: readonly ParentLocator[]
}

const noUuid = '00000000-0000-0000-0000-000000000000'

/** The 1024 bytes of a header for blocks of 2 MiB. */
export const encodeHeader = ({ tableOffset, tableEntries, parent }: NewHeader): Uint8Array => {
  const bytes = writeFields(
    headerFields,
    {
      cookie: headerCookie,
      dataOffset: undefined,
      tableOffset,
      headerVersion: FORMAT_VERSION,
      tableEntries,
      blockSize: BLOCK_SIZE,
      checksum: 0,
      parentUuid: parent?.uuid ?? noUuid,
      parentTimestamp: parent === undefined ? 0 : vhdTime(parent.timestamp),
      parentName: Buffer.from(parent?.fileName ?? '', 'utf16le').swap16(),
      locators: parent?.locators ?? [],
    },
    HEADER_SIZE,
  )
  viewOf(bytes).setUint32(checksumAt, checksumWithout(bytes, checksumAt))
  return bytes
}
