// Stream → writes for VDI. The map comes before the blocks, which may be in any order; nothing
// waits.

import type { DiskWrite } from '../../disk/disk.ts'
import type { ForwardReader } from '../../image/forward-reader.ts'
import { alignDown, SECTOR_SIZE } from '../../units.ts'
import type { DecodeContext, DecodedImage } from '../format.ts'
import { blocksInFileOrder, offsetOf, readMap } from './block-map.ts'
import { HEADER_SIZE, ZERO_ENTRY } from './constants.ts'
import type { Header } from './header.ts'
import { parseHeader } from './header.ts'

const what = 'Cannot decode vdi'

/** See ImageFormat.decode. */
export const decodeVdi = async (
  stream: ForwardReader,
  context: DecodeContext,
): Promise<DecodedImage> => {
  const bytes = new Uint8Array(HEADER_SIZE)
  await stream.read(bytes, `${what}: header`)
  const header = parseHeader(bytes, what)
  await stream.skip(header.mapOffset - stream.offset, `${what}: map`)
  const entries = await readMap(header, (_offset, target) => stream.read(target, `${what}: map`))
  const end = context.streamLength ?? Number.MAX_SAFE_INTEGER
  const blocks = blocksInFileOrder(header, entries, end, what)
  return {
    virtualSize: header.virtualSize,
    isDelta: false,
    writes: () => readBlocks(stream, header, { entries, blocks }, context),
  }
}

interface StoredBlocks {
  readonly entries: Uint32Array
  /** In the order of the file. */
  readonly blocks: Uint32Array
}

/** Blocks that the map says are zeros; of free ones it says nothing. */
function* zeroRuns(
  entries: Uint32Array,
  { virtualSize, blockSize }: Header,
): Generator<DiskWrite, void, undefined> {
  for (let block = 0; block < entries.length;) {
    const start = block
    while (block < entries.length && entries[block] === ZERO_ENTRY) block += 1
    if (block > start) {
      const offset = start * blockSize
      yield { kind: 'zero', offset, length: Math.min(block * blockSize, virtualSize) - offset }
    } else block += 1
  }
}

async function* readBlocks(
  stream: ForwardReader,
  header: Header,
  { entries, blocks }: StoredBlocks,
  { buffers, signal }: DecodeContext,
): AsyncGenerator<DiskWrite, void, undefined> {
  const { virtualSize, blockSize } = header
  yield* zeroRuns(entries, header)
  const pieceSize = alignDown(buffers.bufferSize, SECTOR_SIZE)
  for (const block of blocks) {
    const name = `${what}: block ${block}`
    await stream.skip(offsetOf(header, entries[block]!) - stream.offset, name)
    const diskOffset = block * blockSize
    const length = Math.min(blockSize, virtualSize - diskOffset)
    for (let inside = 0; inside < length; inside += pieceSize) {
      const { bytes, release } = await buffers.take(signal)
      const piece = bytes.subarray(0, Math.min(pieceSize, length - inside))
      await stream.read(piece, name).catch((error: unknown) => {
        release()
        throw error
      })
      yield { kind: 'data', offset: diskOffset + inside, bytes: piece, release }
    }
    await stream.skip(blockSize - length, name)
  }
}
