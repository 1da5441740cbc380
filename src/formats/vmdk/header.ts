// The header of a sparse extent, and the footer that repeats it: read, checked and written.

import { imageError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { formatBytes, MAXIMUM_DISK_SIZE, SECTOR_SIZE, unitsFor } from '../../units.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import {
  AT_END,
  DEFLATE,
  flags,
  HEADER_SIZE,
  MAXIMUM_DESCRIPTOR_SIZE,
  MAXIMUM_DIRECTORY_SIZE,
  MAXIMUM_GRAIN_SIZE,
  MINIMUM_GRAIN_SIZE,
  SIGNATURE,
  TABLE_ENTRIES,
} from './constants.ts'

/** Where each field stands. */
const at = {
  version: 4,
  flags: 8,
  capacity: 12,
  grainSize: 20,
  descriptorOffset: 28,
  descriptorSize: 36,
  tableEntries: 44,
  redundantDirectory: 48,
  directory: 56,
  overhead: 64,
  uncleanShutdown: 72,
  newlines: 73,
  compression: 77,
} as const

/** `\n`, something that is none, `\r\n`: changed by whatever took the file for a text. */
const newlines = '\n \r\n'

export interface Header {
  /** In bytes; 0 where only the footer says it. */
  readonly virtualSize: number
  readonly grainSize: number
  /** Entries of a table. */
  readonly tableEntries: number
  /**
   * In bytes; undefined where it is named by the footer. The redundant copy of the directory and
   * its tables is not read, as QEMU does not read it: it is there to repair the disk by hand.
   */
  readonly directoryOffset: number | undefined
  readonly descriptorOffset: number
  readonly descriptorSize: number
  /** In bytes, all that comes before the grains. */
  readonly overhead: number
  /** Each grain is compressed, and has a marker. */
  readonly isCompressed: boolean
  readonly hasZeroedGrains: boolean
  /** Whoever wrote to it last did not close it. */
  readonly isUnclean: boolean
}

/**
 * @param bytes the first sector, or the footer
 * @throws AppError IMPORT_ERROR_GENERIC for what is no sparse extent, or contradicts itself
 */
export const parseHeader = (bytes: Uint8Array, what: string): Header => {
  const view = viewOf(bytes)
  const text = (offset: number, length: number): string =>
    Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1')
  if (text(0, SIGNATURE.length) !== SIGNATURE) throw refuseOther(bytes, what)
  const version = view.getUint32(at.version, true)
  if (version < 1 || version > 3) {
    throw imageError(what, `the version is ${version}, only 1 to 3 are supported`)
  }
  const bits = view.getUint32(at.flags, true)
  const unknown = bits & ~Object.values(flags).reduce((all, flag) => all | flag, 0)
  if (unknown !== 0) throw imageError(what, `the flags ${hex(unknown >>> 0)} are not known`)
  if ((bits & flags.newlineTest) !== 0 && text(at.newlines, newlines.length) !== newlines) {
    throw imageError(what, 'its line ends were changed: it was sent as text, send it as binary')
  }
  const bytesOf = (name: keyof typeof at): number =>
    toBytes(readUint64(view, at[name], `${what}: ${name}`, true), name, what)
  const isCompressed = (bits & flags.compressed) !== 0
  if (isCompressed) requireCompression(view.getUint16(at.compression, true), bits, what)
  const directory = view.getBigUint64(at.directory, true)
  const header: Header = {
    virtualSize: bytesOf('capacity'),
    grainSize: bytesOf('grainSize'),
    tableEntries: view.getUint32(at.tableEntries, true),
    directoryOffset: directory === AT_END ? undefined : bytesOf('directory'),
    descriptorOffset: bytesOf('descriptorOffset'),
    descriptorSize: bytesOf('descriptorSize'),
    overhead: bytesOf('overhead'),
    isCompressed,
    hasZeroedGrains: (bits & flags.zeroedGrains) !== 0,
    isUnclean: view.getUint8(at.uncleanShutdown) !== 0,
  }
  checkHeader(header, what)
  return header
}

const toBytes = (sectors: number, name: string, what: string): number => {
  const bytes = sectors * SECTOR_SIZE
  if (Number.isSafeInteger(bytes)) return bytes
  throw imageError(what, `the ${name} of ${sectors} sectors is larger than 2^53 - 1 bytes`)
}

/**
 * Refuses a text that stands in the place of an image; it may be shorter than a header.
 * @param start the first bytes
 */
export const refuseDescriptor = (start: Uint8Array, what: string): void => {
  if (descriptorStart.test(startOf(start))) throw refuseOther(start, what)
}

const descriptorStart = /^\s*#\s*Disk DescriptorFile/

const startOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 32)).toString('latin1')

const convert = 'convert it first (qemu-img convert -f vmdk -O qcow2 disk.vmdk disk.qcow2)'

/** What begins otherwise, by its name. */
const refuseOther = (bytes: Uint8Array, what: string): Error => {
  const start = startOf(bytes)
  if (start.startsWith('COWD')) {
    return imageError(what, `it is a sparse extent of ESX (vmfsSparse): ${convert}`)
  }
  if (start.startsWith('\xbe\xba\xfe\xca\0\0\0\0')) {
    return imageError(
      what,
      'it is a space-efficient sparse extent of ESXi (seSparse): make a whole disk of it first (vmkfstools -i disk.vmdk whole.vmdk -d thin)',
    )
  }
  if (descriptorStart.test(start)) {
    return imageError(
      what,
      `it is a descriptor, a text that names the files (extents) of the disk: ${convert}`,
    )
  }
  return imageError(what, `this is no VMDK: it does not begin with ${SIGNATURE}`)
}

const requireCompression = (algorithm: number, bits: number, what: string): void => {
  if (algorithm !== DEFLATE) {
    throw imageError(what, `the compression is ${algorithm}, only 1 (deflate) is supported`)
  }
  if ((bits & flags.markers) === 0) {
    throw imageError(what, `its grains are compressed and have no markers: ${convert}`)
  }
}

const checkHeader = (header: Header, what: string): void => {
  const { virtualSize, grainSize, tableEntries, directoryOffset } = header
  const isPower = grainSize > 0 && Number.isInteger(Math.log2(grainSize))
  if (!isPower || grainSize < MINIMUM_GRAIN_SIZE || grainSize > MAXIMUM_GRAIN_SIZE) {
    const limits = `${formatBytes(MINIMUM_GRAIN_SIZE)} to ${formatBytes(MAXIMUM_GRAIN_SIZE)}`
    throw imageError(what, `the grain size is ${grainSize}, must be a power of two, ${limits}`)
  }
  if (tableEntries < 1 || tableEntries > TABLE_ENTRIES) {
    throw imageError(what, `a grain table has ${tableEntries} entries, must have 1 to 512`)
  }
  if (virtualSize !== 0 || directoryOffset !== undefined) {
    requireVirtualSize(what, virtualSize, MAXIMUM_DISK_SIZE)
  }
  const directorySize = tableCountOf(header) * 4
  if (directorySize > MAXIMUM_DIRECTORY_SIZE) {
    const limit = formatBytes(MAXIMUM_DIRECTORY_SIZE)
    throw imageError(what, `the grain directory has ${directorySize} bytes, the limit is ${limit}`)
  }
  checkDescriptorPlace(header, what)
}

const checkDescriptorPlace = (header: Header, what: string): void => {
  const { descriptorOffset, descriptorSize } = header
  if (descriptorOffset === 0 || descriptorSize === 0) return
  if (descriptorOffset < HEADER_SIZE) throw imageError(what, 'the descriptor overlaps the header')
  if (descriptorSize > MAXIMUM_DESCRIPTOR_SIZE) {
    const limit = formatBytes(MAXIMUM_DESCRIPTOR_SIZE)
    throw imageError(what, `the descriptor has ${descriptorSize} bytes, the limit is ${limit}`)
  }
}

/** How many grain tables the disk needs. */
export const tableCountOf = ({ virtualSize, grainSize, tableEntries }: Header): number =>
  unitsFor(virtualSize, grainSize * tableEntries)

/** All but what is the same in all: grains of 64 KiB, tables of 512 entries. */
interface WrittenHeader {
  readonly version: 1 | 3
  readonly flags: number
  readonly virtualSize: number
  readonly descriptorSectors: number
  /** In sectors, as the following. */
  readonly redundantDirectory: number
  readonly directory: bigint
  readonly overhead: number
  readonly grainSectors: number
}

export const encodeHeader = (header: WrittenHeader): Uint8Array => {
  const bytes = new Uint8Array(HEADER_SIZE)
  const view = viewOf(bytes)
  const isCompressed = (header.flags & flags.compressed) !== 0
  Buffer.from(bytes.buffer).write(SIGNATURE, 'latin1')
  view.setUint32(at.version, header.version, true)
  view.setUint32(at.flags, header.flags, true)
  view.setBigUint64(at.capacity, BigInt(header.virtualSize / SECTOR_SIZE), true)
  view.setBigUint64(at.grainSize, BigInt(header.grainSectors), true)
  if (header.descriptorSectors > 0) {
    view.setBigUint64(at.descriptorOffset, 1n, true)
    view.setBigUint64(at.descriptorSize, BigInt(header.descriptorSectors), true)
  }
  view.setUint32(at.tableEntries, TABLE_ENTRIES, true)
  view.setBigUint64(at.redundantDirectory, BigInt(header.redundantDirectory), true)
  view.setBigUint64(at.directory, header.directory, true)
  view.setBigUint64(at.overhead, BigInt(header.overhead), true)
  Buffer.from(bytes.buffer).write(newlines, at.newlines, 'latin1')
  view.setUint16(at.compression, isCompressed ? DEFLATE : 0, true)
  return bytes
}
