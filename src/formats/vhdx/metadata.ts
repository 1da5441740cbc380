// The metadata of a VHDX: sizes of the disk, its blocks and sectors, and what it lies on.

import { imageError } from '../../errors.ts'
import { hex, readUint64, viewOf } from '../../image/binary.ts'
import { alignUp, MAXIMUM_DISK_SIZE, MiB, SECTOR_SIZE } from '../../units.ts'
import { readGuid, writeGuid } from '../guid.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import {
  itemIds,
  MAXIMUM_BLOCK_SIZE,
  MAXIMUM_METADATA_ENTRIES,
  METADATA_TABLE_LENGTH,
  MINIMUM_BLOCK_SIZE,
} from './constants.ts'
import type { ParentLocator } from './parent-locator.ts'
import { parseParentLocator } from './parent-locator.ts'
import type { Region } from './regions.ts'

const signature = 'metadata'
const countAt = 10
const entriesAt = 32
const entrySize = 32
/** What one item may have. */
const maximumItemLength = MiB

const flags = { isUser: 1, isVirtualDisk: 2, isRequired: 4 } as const

/** Of the file parameters; the first says how a fixed disk is kept fixed. */
const parameterBits = { leaveAllocated: 1, hasParent: 2 } as const

type ItemName = keyof typeof itemIds

/** Of those whose length never varies. */
const itemLengths = {
  fileParameters: 8,
  virtualDiskSize: 8,
  virtualDiskId: 16,
  logicalSectorSize: 4,
  physicalSectorSize: 4,
} as const

export interface Metadata {
  /** In bytes. */
  readonly virtualSize: number
  readonly blockSize: number
  /** 512 or 4096. */
  readonly logicalSectorSize: number
  readonly parent?: ParentLocator
}

/**
 * @param read fills `target` with what is at `offset` in the region
 * @throws AppError IMPORT_ERROR_GENERIC for what is missing, contradicts itself, or must be
 *   understood and is not known
 */
export const readMetadata = async (
  region: Region,
  read: (offset: number, target: Uint8Array) => Promise<void>,
  what: string,
): Promise<Metadata> => {
  const table = new Uint8Array(METADATA_TABLE_LENGTH)
  await read(0, table)
  const places = parseTable(table, region, what)
  const view = async (name: ItemName): Promise<DataView> => {
    const place = places[name]
    if (place === undefined) throw imageError(what, `the metadata lacks the ${labels[name]}`)
    const bytes = new Uint8Array(place.length)
    await read(place.offset, bytes)
    return viewOf(bytes)
  }
  const parameters = await view('fileParameters')
  const bits = parameters.getUint32(4, true)
  if ((bits & ~(parameterBits.leaveAllocated | parameterBits.hasParent)) !== 0) {
    throw imageError(
      what,
      `the file parameters have the bits ${hex(bits)}, which are not all known`,
    )
  }
  const hasParent = (bits & parameterBits.hasParent) !== 0
  const size = await view('virtualDiskSize')
  const metadata: Metadata = {
    virtualSize: readUint64(size, 0, `${what}: virtual disk size`, true),
    blockSize: parameters.getUint32(0, true),
    logicalSectorSize: (await view('logicalSectorSize')).getUint32(0, true),
    ...(hasParent && { parent: parseParentLocator(await view('parentLocator'), what) }),
  }
  checkSizes(metadata, what)
  return metadata
}

const labels: Readonly<Record<ItemName, string>> = {
  fileParameters: 'file parameters',
  virtualDiskSize: 'virtual disk size',
  virtualDiskId: 'virtual disk id',
  logicalSectorSize: 'logical sector size',
  physicalSectorSize: 'physical sector size',
  parentLocator: 'parent locator',
}

interface Place {
  readonly offset: number
  readonly length: number
}

const parseTable = (
  table: Uint8Array,
  region: Region,
  what: string,
): Partial<Record<ItemName, Place>> => {
  const view = viewOf(table)
  if (Buffer.from(table.subarray(0, signature.length)).toString('latin1') !== signature) {
    throw imageError(what, `there is no metadata at ${hex(region.offset)}: its signature is wrong`)
  }
  const count = view.getUint16(countAt, true)
  if (count > MAXIMUM_METADATA_ENTRIES) {
    const limit = `the limit is ${MAXIMUM_METADATA_ENTRIES}`
    throw imageError(what, `the metadata has ${count} entries, ${limit}`)
  }
  const places: Partial<Record<ItemName, Place>> = {}
  for (let index = 0; index < count; index += 1) {
    const at = entriesAt + index * entrySize
    const id = readGuid(view, at)
    const bits = view.getUint32(at + 24, true)
    const name = (bits & flags.isUser) === 0 ? nameOf(id) : undefined
    if (name === undefined) {
      if ((bits & flags.isRequired) === 0) continue
      throw imageError(what, `the metadata ${id} is not known and must be understood by its mark`)
    }
    if (places[name] !== undefined) {
      throw imageError(what, `the metadata has the ${labels[name]} twice`)
    }
    const place = { offset: view.getUint32(at + 16, true), length: view.getUint32(at + 20, true) }
    places[name] = checkPlace(name, place, region, what)
  }
  return places
}

const nameOf = (id: string): ItemName | undefined => {
  for (const [name, known] of Object.entries(itemIds)) if (known === id) return name as ItemName
  return undefined
}

const checkPlace = (name: ItemName, place: Place, region: Region, what: string): Place => {
  const { offset, length } = place
  const expected = name === 'parentLocator' ? undefined : itemLengths[name]
  if (expected === undefined ? length > maximumItemLength : length !== expected) {
    const wanted = expected === undefined ? `at most ${maximumItemLength}` : String(expected)
    throw imageError(what, `the ${labels[name]} has ${length} bytes, must have ${wanted}`)
  }
  if (offset < METADATA_TABLE_LENGTH || offset + length > region.length) {
    const found = `the ${labels[name]} of ${length} bytes at ${hex(offset)}`
    throw imageError(what, `${found} is not between the table and the end of the metadata`)
  }
  return place
}

const checkSizes = (
  { virtualSize, blockSize, logicalSectorSize }: Metadata,
  what: string,
): void => {
  const isPower = blockSize !== 0 && (blockSize & (blockSize - 1)) === 0
  if (!isPower || blockSize < MINIMUM_BLOCK_SIZE || blockSize > MAXIMUM_BLOCK_SIZE) {
    throw imageError(what, `the block size is ${blockSize}, must be a power of two, 1 to 256 MiB`)
  }
  if (logicalSectorSize !== 512 && logicalSectorSize !== 4096) {
    const found = `the logical sector size is ${logicalSectorSize}`
    throw imageError(what, `${found}, must be 512 or 4096`)
  }
  requireVirtualSize(what, virtualSize, MAXIMUM_DISK_SIZE)
  if (virtualSize % logicalSectorSize === 0) return
  const found = `the virtual size of ${virtualSize} bytes is not a multiple of its sectors`
  throw imageError(what, `${found} of ${logicalSectorSize}`)
}

interface WrittenMetadata {
  readonly virtualSize: number
  readonly blockSize: number
  readonly virtualDiskId: string
}

/** The table and the items behind it, of a whole disk with sectors of 512 bytes. */
export const encodeMetadata = (metadata: WrittenMetadata): Uint8Array => {
  const { virtualSize, blockSize, virtualDiskId } = metadata
  const { isVirtualDisk, isRequired } = flags
  const items: readonly [Exclude<ItemName, 'parentLocator'>, number, (view: DataView) => void][] = [
    ['fileParameters', isRequired, (view) => view.setUint32(0, blockSize, true)],
    [
      'virtualDiskSize',
      isVirtualDisk | isRequired,
      (view) => view.setBigUint64(0, BigInt(virtualSize), true),
    ],
    ['virtualDiskId', isVirtualDisk | isRequired, (view) => writeGuid(view, 0, virtualDiskId)],
    ['logicalSectorSize', isVirtualDisk | isRequired, (view) => view.setUint32(0, 512, true)],
    ['physicalSectorSize', isVirtualDisk | isRequired, (view) => view.setUint32(0, 512, true)],
  ]
  const bytes = new Uint8Array(METADATA_TABLE_LENGTH + SECTOR_SIZE)
  Buffer.from(bytes.buffer).write(signature, 'latin1')
  const view = viewOf(bytes)
  view.setUint16(countAt, items.length, true)
  let offset = METADATA_TABLE_LENGTH
  for (const [index, [name, bits, fill]] of items.entries()) {
    const at = entriesAt + index * entrySize
    const length = itemLengths[name]
    writeGuid(view, at, itemIds[name])
    view.setUint32(at + 16, offset, true)
    view.setUint32(at + 20, length, true)
    view.setUint32(at + 24, bits, true)
    fill(viewOf(bytes.subarray(offset, offset + length)))
    offset = alignUp(offset + length, 16)
  }
  return bytes
}
