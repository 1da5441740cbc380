// All that is known of a VHDX before its blocks are read, checked: asked by open and decode alike.

import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { formatBytes } from '../../units.ts'
import type { BlockTable } from './block-table.ts'
import { bitmapRegions, blocksInFileOrder, readBlockTable } from './block-table.ts'
import { blockStates, PREFIX_LENGTH } from './constants.ts'
import type { Header } from './headers.ts'
import { readHeader } from './headers.ts'
import { replayLog } from './log.ts'
import type { Metadata } from './metadata.ts'
import { readMetadata } from './metadata.ts'
import { createReplayedImage } from './updates.ts'
import type { Region, Regions } from './regions.ts'
import { readRegions, requireApart } from './regions.ts'

export interface Structure {
  readonly metadata: Metadata
  readonly table: BlockTable
  /** In the order of the file. */
  readonly blocks: Uint32Array
  /** Some block holds a part of its sectors only. */
  readonly hasPartialBlocks: boolean
}

/** What the first MiB says. */
export interface Prefix {
  readonly header: Header
  readonly regions: Regions
}

const readPrefix = (bytes: Uint8Array, what: string): Prefix => {
  const header = readHeader(bytes, what)
  const regions = readRegions(bytes, what)
  requireApart(
    [...Object.values(regions as unknown as Record<string, Region>), ...logRegion(header)],
    what,
  )
  return { header, regions }
}

const logRegion = ({ log }: Header): Region[] =>
  log === undefined ? [] : [{ name: 'log', offset: log.offset, length: log.length }]

/** The prefix of an image at rest. */
export const loadPrefix = async (image: Image, what: string): Promise<Prefix> => {
  if (image.size < PREFIX_LENGTH) {
    throw imageError(what, `the image of ${formatBytes(image.size)} has no room for a header`)
  }
  const bytes = new Uint8Array(PREFIX_LENGTH)
  await image.read(0, bytes)
  return readPrefix(bytes, what)
}

/** Where the last of what must be known before any block ends. */
export const tablesEnd = ({ header, regions }: Prefix): number =>
  Math.max(
    ...[regions.blockTable, regions.metadata, ...logRegion(header)].map(
      ({ offset, length }) => offset + length,
    ),
  )

/**
 * The image as its log leaves it.
 * @param end where the image ends; absent where nobody knows
 */
export const replay = async (
  image: Image,
  { header }: Prefix,
  end: number | undefined,
  what: string,
): Promise<Image> => {
  const { log } = header
  if (log === undefined) return image
  requireInside({ name: 'log', ...log }, image.size, what)
  const bytes = new Uint8Array(log.length)
  await image.read(log.offset, bytes)
  const { updates, fileSize } = replayLog(bytes, log.guid, end, what)
  return createReplayedImage(image, updates, fileSize)
}

/** The metadata of an image whose log was replayed. */
export const loadMetadata = (
  image: Image,
  { regions: { metadata } }: Prefix,
  what: string,
): Promise<Metadata> => {
  requireInside(metadata, image.size, what)
  return readMetadata(
    metadata,
    (offset, target) => image.read(metadata.offset + offset, target),
    what,
  )
}

/**
 * @param image at least up to the end of its tables, its log replayed
 * @param end where the whole image ends
 */
export const loadStructure = async (
  image: Image,
  prefix: Prefix,
  end: number,
  what: string,
): Promise<Structure> => {
  const metadata = await loadMetadata(image, prefix, what)
  const { blockTable } = prefix.regions
  requireInside(blockTable, image.size, what)
  const read = (offset: number, target: Uint8Array): Promise<void> =>
    image.read(blockTable.offset + offset, target)
  const table = await readBlockTable(metadata, blockTable, read, what)
  const reserved = [
    blockTable,
    prefix.regions.metadata,
    ...logRegion(prefix.header),
    ...bitmapRegions(table),
  ]
  requireApart(reserved, what)
  for (const region of bitmapRegions(table)) requireInside(region, end, what)
  const blocks = blocksInFileOrder(table, metadata, { end, reserved }, what)
  const hasPartialBlocks = table.states.includes(blockStates.partiallyPresent)
  return { metadata, table, blocks, hasPartialBlocks }
}

const requireInside = ({ name, offset, length }: Region, end: number, what: string): void => {
  if (offset + length <= end) return
  const found = `the ${name} of ${length} bytes at ${hex(offset)}`
  throw new PastEndError(what, `${found} points past the end of the image, ${hex(end)}`)
}
