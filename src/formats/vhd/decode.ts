// Stream → writes for VHD. What begins with a footer is dynamic or differencing; anything else can
// only be a fixed image, whose footer comes last: see decode-fixed.ts.

import type { DiskWrite } from '../../disk/disk.ts'
import { imageError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import type { BlockLayout } from './block-table.ts'
import {
  blockLayoutOf,
  blocksInFileOrder,
  checkTable,
  offsetOf,
  readTable,
  tableSize,
} from './block-table.ts'
import { requireClosingFooter } from './closing-footer.ts'
import { diskTypes, FOOTER_SIZE, HEADER_SIZE } from './constants.ts'
import { readBlockWrites } from './decode-block.ts'
import { decodeFixed } from './decode-fixed.ts'
import type { Footer } from './footer.ts'
import {
  closingFooterSize,
  hasFooterCookie,
  parseFooter,
  refusePoisoned,
  virtualSizeOf,
} from './footer.ts'
import type { Header } from './header.ts'
import { parseHeader } from './header.ts'
import { metadataRegions, requireInside } from './metadata.ts'

const what = 'Cannot decode vhd'

/** See ImageFormat.decode. */
export const decodeVhd = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const first = new Uint8Array(FOOTER_SIZE)
  await stream.read(first, `${what}: footer`)
  refusePoisoned(first, what)
  if (!hasFooterCookie(first)) return decodeFixed(stream, first, context)
  const footer = parseFooter(first, what)
  // Guest bytes that happen to be a footer, or the footer that some put before a fixed disk's data.
  if (footer.diskType === diskTypes.fixed) return decodeFixed(stream, first, context)
  return decodeDynamic(stream, footer, context)
}

/** What is known of a dynamic image before its first block. */
interface BlockPlan {
  readonly virtualSize: number
  readonly entries: Uint32Array
  /** In the order of the file. */
  readonly blocks: Uint32Array
  readonly layout: BlockLayout
}

const decodeDynamic = async (
  stream: ForwardReader,
  footer: Footer,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const { streamLength } = context
  const end =
    streamLength === undefined
      ? Number.MAX_SAFE_INTEGER
      : streamLength - closingFooterSize(streamLength)
  const virtualSize = virtualSizeOf(footer, what)
  const header = await readHeader(stream, footer, virtualSize, end)
  const plan = await readBlockPlan(stream, footer, header, virtualSize, end)
  const isDelta = footer.diskType === diskTypes.differencing
  return {
    virtualSize,
    isDelta,
    ...(isDelta && { baseName: header.parentUuid }),
    async *writes() {
      yield* readBlocks(stream, plan, isDelta, context)
      await requireClosingFooter(stream, footer, streamLength, what)
    },
  }
}

const readHeader = async (
  stream: ForwardReader,
  footer: Footer,
  virtualSize: number,
  end: number,
): Promise<Header> => {
  const offset = requireInside('header', footer.dataOffset, HEADER_SIZE, end, what)
  await skipTo(stream, offset, 'header')
  const bytes = new Uint8Array(HEADER_SIZE)
  await stream.read(bytes, `${what}: header`)
  return parseHeader(bytes, virtualSize, what)
}

const readBlockPlan = async (
  stream: ForwardReader,
  footer: Footer,
  header: Header,
  virtualSize: number,
  end: number,
): Promise<BlockPlan> => {
  const layout = blockLayoutOf(header.blockSize)
  const offset = requireInside(
    'table',
    header.tableOffset,
    tableSize(header.tableEntries),
    end,
    what,
  )
  const metadata = metadataRegions(footer, header, end, what)
  await skipTo(stream, offset, 'table')
  const entries = await readTable(Math.ceil(virtualSize / header.blockSize), (_offset, target) =>
    stream.read(target, `${what}: table`),
  )
  // An image without blocks has its closing footer right behind the table.
  await skipTo(stream, offset + tableSize(header.tableEntries), 'table')
  const blocks = blocksInFileOrder(entries)
  checkTable({ entries, blocks, layout, metadata, end, what })
  const [first] = blocks
  if (first !== undefined && offsetOf(entries, first) < stream.offset) {
    throw notForwardReadable(`block ${first}`, offsetOf(entries, first), stream.offset)
  }
  return { virtualSize, entries, blocks, layout }
}

async function* readBlocks(
  stream: ForwardReader,
  { virtualSize, entries, blocks, layout }: BlockPlan,
  isDelta: boolean,
  context: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const { blockSize, bitmapSize, storedSize } = layout
  const bitmap = new Uint8Array(bitmapSize)
  for (const block of blocks) {
    const name = `${what}: block ${block}`
    const start = offsetOf(entries, block)
    // Batmap, locators and gaps lie between.
    await stream.skip(start - stream.offset, name)
    await stream.read(bitmap, name)
    const diskOffset = block * blockSize
    const length = Math.min(blockSize, virtualSize - diskOffset)
    yield* readBlockWrites(stream, { diskOffset, length, bitmap, isDelta, name }, context)
    await stream.skip(start + storedSize - stream.offset, name)
  }
}

const skipTo = async (stream: ForwardReader, offset: number, name: string): Promise<void> => {
  if (offset < stream.offset) throw notForwardReadable(`the ${name}`, offset, stream.offset)
  await stream.skip(offset - stream.offset, `${what}: ${name}`)
}

const notForwardReadable = (name: string, offset: number, passed: number): Error =>
  imageError(
    what,
    `${name} at ${hex(offset)} lies before what tells of it, which ends at ${hex(passed)}: the image cannot be read as a stream, convert it first`,
  )
