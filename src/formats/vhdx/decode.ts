// Stream → writes for VHDX. What lies before the end of the tables is kept: in memory, if it is as
// short as programs write it, else in the spool. All of the image is spooled where its log is to be
// replayed, or where sectors are told apart by bitmaps that may come after them.

import type { DiskWrite } from '../../disk/disk.ts'
import { cutShort } from '../../errors.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { alignDown, KiB, SECTOR_SIZE } from '../../units.ts'
import { writesOf } from '../disk-writes.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { KeptStart } from '../kept-start.ts'
import { createBlockDisk } from './block-disk.ts'
import { offsetOf } from './block-table.ts'
import { blockStates, PREFIX_LENGTH } from './constants.ts'
import type { Prefix, Structure } from './structure.ts'
import { loadPrefix, loadStructure, replay, tablesEnd } from './structure.ts'

const what = 'Cannot decode vhdx'

/** See ImageFormat.decode. */
export const decodeVhdx = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const kept = new KeptStart(stream, context, what)
  const end = context.streamLength ?? Number.MAX_SAFE_INTEGER
  try {
    await kept.keepUntil(PREFIX_LENGTH, 'header')
    const prefix = await loadPrefix(kept.image, what)
    await kept.keepUntil(tablesEnd(prefix), 'tables')
    const replayed = await replay(kept.image, prefix, context.streamLength, what)
    const structure = await loadStructure(replayed, prefix, Math.max(end, replayed.size), what)
    return describeDecoded(structure, () =>
      prefix.header.log === undefined && !structure.hasPartialBlocks
        ? readForward(stream, kept, structure, context)
        : readSpooled(stream, kept, prefix, context),
    )
  } catch (error) {
    await kept.close()
    throw error
  }
}

const describeDecoded = (
  { metadata: { virtualSize, parent, logicalSectorSize } }: Structure,
  writes: () => AsyncIterable<DiskWrite>,
): DecodedImage => ({
  virtualSize,
  isDelta: parent !== undefined,
  ...(parent !== undefined && { baseName: parent.uuid }),
  ...(logicalSectorSize !== SECTOR_SIZE && {
    notes: [
      `the disk was one with logical sectors of ${logicalSectorSize} bytes: partition tables count in these, and a system that finds sectors of ${SECTOR_SIZE} bytes may not find its partitions`,
    ],
  }),
  writes,
})

/** Blocks in the order of the file, from what is kept and then from the stream. */
async function* readForward(
  stream: ForwardReader,
  kept: KeptStart,
  { metadata, table, blocks }: Structure,
  { buffers, signal, streamLength }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const { virtualSize, blockSize } = metadata
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  try {
    yield* zeroRuns(table.states, metadata)
    for (const block of blocks) {
      const name = `${what}: block ${block}`
      const diskOffset = block * blockSize
      const length = Math.min(blockSize, virtualSize - diskOffset)
      for (let inside = 0; inside < length; inside += pieceSize) {
        const { bytes, release } = await buffers.take(signal)
        const piece = bytes.subarray(0, Math.min(pieceSize, length - inside))
        await kept
          .readOnward(offsetOf(table, block) + inside, piece, name)
          .catch((error: unknown) => {
            release()
            throw error
          })
        yield { kind: 'data', offset: diskOffset + inside, bytes: piece, release }
      }
    }
    const last = blocks.at(-1)
    if (last !== undefined) await skipRest(stream, offsetOf(table, last) + blockSize, streamLength)
  } finally {
    await kept.close()
  }
}

/** Of the last block, which may be cut where nothing of the disk is lacking. */
const skipRest = async (
  stream: ForwardReader,
  end: number,
  streamLength: number | undefined,
): Promise<void> => {
  if (streamLength !== undefined) {
    await stream.skip(Math.min(end, streamLength) - stream.offset, `${what}: last block`)
    return
  }
  const piece = new Uint8Array(64 * KiB)
  while (stream.offset < end) {
    const count = await stream.readUpTo(piece.subarray(0, end - stream.offset))
    if (count === 0) return
  }
}

/** Blocks whose state says that they are zeros, whatever lies below. */
function* zeroRuns(
  states: Uint8Array,
  { virtualSize, blockSize }: Structure['metadata'],
): Generator<DiskWrite, void, undefined> {
  const isZero = (block: number): boolean => {
    const state = states[block]
    return (
      state === blockStates.zero ||
      state === blockStates.undefined ||
      state === blockStates.unmapped
    )
  }
  for (let block = 0; block < states.length;) {
    const start = block
    while (isZero(block)) block += 1
    if (block > start) {
      const offset = start * blockSize
      yield { kind: 'zero', offset, length: Math.min(block * blockSize, virtualSize) - offset }
    } else block += 1
  }
}

/** The whole image, when all of it has come. */
async function* readSpooled(
  stream: ForwardReader,
  kept: KeptStart,
  prefix: Prefix,
  context: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const { streamLength } = context
  try {
    await kept.keepRest()
    if (streamLength !== undefined && stream.offset < streamLength) {
      throw cutShort(what, `the stream ends after ${stream.offset} of ${streamLength} bytes`)
    }
    const replayed = await replay(kept.image, prefix, kept.image.size, what)
    const structure = await loadStructure(replayed, prefix, replayed.size, what)
    yield* writesOf(createBlockDisk(replayed, structure, what), context)
  } finally {
    await kept.close()
  }
}
