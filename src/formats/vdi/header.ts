// The header of a VDI: read and checked field by field, and written.

import { imageError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { alignUp, formatBytes, MAXIMUM_DISK_SIZE, SECTOR_SIZE } from '../../units.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import {
  BLOCK_SIZE,
  FORMAT_VERSION,
  HEADER_SIZE,
  imageTypes,
  MAXIMUM_BLOCK_SIZE,
  MAXIMUM_BLOCKS,
  MINIMUM_BLOCK_SIZE,
  MINIMUM_HEADER_LENGTH,
  SIGNATURE,
  SIGNATURE_AT,
  SIZED_HEADER_AT,
  WRITTEN_HEADER_LENGTH,
} from './constants.ts'
import { readGuid, writeGuid } from '../guid.ts'

/** Where each field stands; uuids take 16 bytes, the others 4 unless said. */
const at = {
  version: 68,
  headerLength: 72,
  imageType: 76,
  mapOffset: 340,
  dataOffset: 344,
  legacySectorSize: 360,
  /** 8 bytes. */
  diskSize: 368,
  blockSize: 376,
  blockExtraSize: 380,
  blockCount: 384,
  allocatedCount: 388,
  imageUuid: 392,
  changeUuid: 408,
  linkUuid: 424,
  parentUuid: 440,
  sectorSize: 468,
} as const

export interface Header {
  /** In bytes, whole sectors. */
  readonly virtualSize: number
  readonly blockSize: number
  readonly mapOffset: number
  /** Where the block of index 0 begins. */
  readonly dataOffset: number
  /** Entries of the map; at least those that the disk needs. */
  readonly blockCount: number
  /** How many blocks are in the file. */
  readonly allocatedCount: number
  readonly uuid: string
}

const nullUuid = '00000000-0000-0000-0000-000000000000'

/**
 * @param bytes the first 512
 * @throws AppError IMPORT_ERROR_GENERIC for what is not a whole VDI of version 1.1, or contradicts
 *   itself
 */
export const parseHeader = (bytes: Uint8Array, what: string): Header => {
  const view = viewOf(bytes)
  const field = (name: keyof typeof at): number => view.getUint32(at[name], true)
  const signature = view.getUint32(SIGNATURE_AT, true)
  if (signature !== SIGNATURE) {
    const found = `the signature is ${hex(signature)}, not ${hex(SIGNATURE)}`
    throw imageError(what, `this is no VDI: at ${SIGNATURE_AT} ${found}`)
  }
  requireVersion(field('version'), what)
  requireWhole(field('imageType'), what)
  for (const name of ['linkUuid', 'parentUuid'] as const) {
    const uuid = readGuid(view, at[name])
    if (uuid !== nullUuid) throw refuseDifference(`it names ${uuid} as its parent`, what)
  }
  const headerLength = field('headerLength')
  if (headerLength < MINIMUM_HEADER_LENGTH) {
    const found = `the header has ${headerLength} bytes, at least ${MINIMUM_HEADER_LENGTH}`
    throw imageError(what, `${found} are needed`)
  }
  if (field('blockExtraSize') !== 0) {
    const found = `each block has ${field('blockExtraSize')} bytes of extra data`
    throw imageError(what, `${found}, which is not supported: ${cloneAdvice}`)
  }
  const header: Header = {
    // VBoxManage convertfromraw makes disks of any length; QEMU rounds them up as well.
    virtualSize: alignUp(readUint64(view, at.diskSize, `${what}: disk size`, true), SECTOR_SIZE),
    blockSize: field('blockSize'),
    mapOffset: field('mapOffset'),
    dataOffset: field('dataOffset'),
    blockCount: field('blockCount'),
    allocatedCount: field('allocatedCount'),
    uuid: readGuid(view, at.imageUuid),
  }
  requireVirtualSize(what, header.virtualSize, MAXIMUM_DISK_SIZE)
  checkBlocks(header, what)
  checkPlaces(header, SIZED_HEADER_AT + headerLength, what)
  return header
}

const cloneAdvice =
  'make a whole copy of version 1.1 first (VBoxManage clonemedium disk.vdi copy.vdi)'

const requireVersion = (version: number, what: string): void => {
  if (version === FORMAT_VERSION) return
  const found = `the version is ${version >>> 16}.${version & 0xffff}, only 1.1 is supported`
  throw imageError(what, `${found}: ${cloneAdvice}`)
}

const requireWhole = (type: number, what: string): void => {
  if (type === imageTypes.undo) throw refuseDifference('it is an undo image', what)
  if (type === imageTypes.differencing) throw refuseDifference('it is a differencing image', what)
  if (type === imageTypes.dynamic || type === imageTypes.fixed) return
  throw imageError(what, `the image type is ${type}, must be 1 (dynamic) or 2 (fixed)`)
}

const refuseDifference = (found: string, what: string): Error =>
  imageError(
    what,
    `${found} and holds only what differs from another image: merge them into a whole one first (VBoxManage clonemedium child.vdi whole.vdi)`,
  )

const checkBlocks = (header: Header, what: string): void => {
  const { virtualSize, blockSize, blockCount, allocatedCount } = header
  const isPower = blockSize !== 0 && (blockSize & (blockSize - 1)) === 0
  if (!isPower || blockSize < MINIMUM_BLOCK_SIZE || blockSize > MAXIMUM_BLOCK_SIZE) {
    const limits = `${formatBytes(MINIMUM_BLOCK_SIZE)} to ${formatBytes(MAXIMUM_BLOCK_SIZE)}`
    throw imageError(what, `the block size is ${blockSize}, must be a power of two, ${limits}`)
  }
  if (blockCount > MAXIMUM_BLOCKS) {
    throw imageError(what, `the map has ${blockCount} entries, the limit is ${MAXIMUM_BLOCKS}`)
  }
  if (blockCount * blockSize < virtualSize) {
    const blocks = `${blockCount} blocks of ${blockSize} bytes`
    throw imageError(what, `${blocks} do not cover the disk of ${formatBytes(virtualSize)}`)
  }
  if (allocatedCount > blockCount) {
    throw imageError(what, `${allocatedCount} blocks are allocated, there are only ${blockCount}`)
  }
}

const checkPlaces = (
  { mapOffset, dataOffset, blockCount }: Header,
  headerEnd: number,
  what: string,
): void => {
  if (mapOffset < headerEnd) {
    const found = `the map at ${hex(mapOffset)} overlaps the header`
    throw imageError(what, `${found}, which ends at ${hex(headerEnd)}`)
  }
  const mapEnd = mapOffset + blockCount * 4
  if (dataOffset < mapEnd) {
    const found = `the data at ${hex(dataOffset)} overlaps the map`
    throw imageError(what, `${found}, which ends at ${hex(mapEnd)}`)
  }
}

/** 64 bytes, zeros after the text. */
const text = '<<< diskport Virtual Disk Image >>>\n'

/** What is not told is the same in all: dynamic, in blocks of 1 MiB, without a parent. */
interface WrittenHeader extends Omit<Header, 'blockSize'> {
  /** Another for each content of the disk. */
  readonly changeUuid: string
}

/** 512 bytes. */
export const encodeHeader = (header: WrittenHeader): Uint8Array => {
  const bytes = new Uint8Array(HEADER_SIZE)
  bytes.set(Buffer.from(text))
  const view = viewOf(bytes)
  view.setUint32(SIGNATURE_AT, SIGNATURE, true)
  const fields = {
    version: FORMAT_VERSION,
    headerLength: WRITTEN_HEADER_LENGTH,
    imageType: imageTypes.dynamic,
    mapOffset: header.mapOffset,
    dataOffset: header.dataOffset,
    // Cylinders, heads and sectors of zero: VirtualBox works them out.
    legacySectorSize: SECTOR_SIZE,
    sectorSize: SECTOR_SIZE,
    blockSize: BLOCK_SIZE,
    blockCount: header.blockCount,
    allocatedCount: header.allocatedCount,
  }
  for (const [name, value] of Object.entries(fields)) {
    view.setUint32(at[name as keyof typeof fields], value, true)
  }
  view.setBigUint64(at.diskSize, BigInt(header.virtualSize), true)
  writeGuid(view, at.imageUuid, header.uuid)
  writeGuid(view, at.changeUuid, header.changeUuid)
  return bytes
}
