// Zstandard around an image, frame by frame: node:zlib gives up what follows a frame in the same
// chunk, and what follows a skippable one, so it is handed chunks that end where a frame does. RFC
// 8878, section 3.1.

import { constants, createZstdDecompress } from 'node:zlib'
import { imageError } from '../errors.ts'
import { viewOf } from '../image/binary.ts'
import type { ForwardReader } from '../image/forward-reader.ts'
import { createForwardReader } from '../image/forward-reader.ts'
import { KiB, MiB } from '../units.ts'
import { decompressBy } from './decompress-by.ts'

const what = 'Cannot decompress zstd'
const frameMagic = 0xfd_2f_b5_28
/** The low half byte may be anything. */
const skippableMagic = 0x18_4d_2a_50
const blockHeaderSize = 3
const checksumSize = 4
const blockTypes = { raw: 0, repeated: 1, compressed: 2 } as const
/** RFC 8878, section 3.1.1.2.4: of what comes out, and so of what goes in. */
const maximumBlock = 128 * KiB

/** What `zstd -d` takes unasked: a window of 128 MiB. */
const maximumWindowLog = 27
const maximumWindow = 128 * MiB

const chunkSize = 256 * KiB

/** As Compression.decompress. */
export const decompressZstd = (
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> => {
  const params = { [constants.ZSTD_d_windowLogMax]: maximumWindowLog }
  return decompressBy('zstd', createZstdDecompress({ chunkSize, params }), cutAtFrames(source))
}

/** Chunks none of which reaches into a second frame, without the skippable frames. */
async function* cutAtFrames(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = source[Symbol.asyncIterator]()
  const stream = createForwardReader({ [Symbol.asyncIterator]: () => chunks })
  try {
    while (!(await stream.atEnd())) {
      const magic = await readUint32(stream, 'frame')
      if ((magic & 0xff_ff_ff_f0) >>> 0 === skippableMagic) {
        const length = await readUint32(stream, 'skippable frame')
        await stream.skip(length, `${what}: skippable frame`)
      } else if (magic === frameMagic) yield* readFrame(stream)
      else throw imageError(what, `what follows at ${stream.offset - 4} is no frame`)
    }
  } finally {
    await chunks.return?.()
  }
}

/** A frame whose magic number has been read. */
async function* readFrame(stream: ForwardReader): AsyncGenerator<Uint8Array, void, undefined> {
  const { header, hasChecksum } = await readFrameHeader(stream)
  yield header
  for (let isLast = false; !isLast;) {
    const start = new Uint8Array(blockHeaderSize)
    await stream.read(start, `${what}: block header`)
    const bits = start[0]! | (start[1]! << 8) | (start[2]! << 16)
    isLast = (bits & 1) === 1
    const type = (bits >>> 1) & 3
    const size = bits >>> 3
    if (type > blockTypes.compressed || size > maximumBlock) {
      throw imageError(what, `the block before ${stream.offset} is of type ${type}, size ${size}`)
    }
    const length = type === blockTypes.repeated ? 1 : size
    const isEnd = isLast && hasChecksum
    const block = new Uint8Array(blockHeaderSize + length + (isEnd ? checksumSize : 0))
    block.set(start)
    await stream.read(block.subarray(blockHeaderSize), `${what}: block`)
    yield block
  }
}

/** RFC 8878, section 3.1.1.1: descriptor, window, dictionary, content size. */
const readFrameHeader = async (
  stream: ForwardReader,
): Promise<{ readonly header: Uint8Array; readonly hasChecksum: boolean }> => {
  const name = `${what}: frame header`
  const first = new Uint8Array(1)
  await stream.read(first, name)
  const [descriptor = 0] = first
  const isSingleSegment = (descriptor & 0x20) !== 0
  const windowBytes = isSingleSegment ? 0 : 1
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!
  const sizeFlag = descriptor >>> 6
  const sizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 1 << sizeFlag
  const header = new Uint8Array(5 + windowBytes + dictionaryBytes + sizeBytes)
  const view = viewOf(header)
  view.setUint32(0, frameMagic, true)
  header[4] = descriptor
  await stream.read(header.subarray(5), name)
  const dictionary = header.subarray(5 + windowBytes, 5 + windowBytes + dictionaryBytes)
  if (dictionary.some((byte) => byte !== 0)) {
    throw imageError(what, 'it was compressed with a dictionary, which is not part of it')
  }
  const window = isSingleSegment ? singleSegmentSize(view, sizeBytes) : windowSize(header[5]!)
  if (window > maximumWindow) {
    const found = `it needs a window of ${Math.ceil(window / MiB)} MiB, ${maximumWindow / MiB} are given`
    throw imageError(what, `${found}: compress it without --long`)
  }
  return { header, hasChecksum: (descriptor & 4) !== 0 }
}

/** RFC 8878, section 3.1.1.1.2. */
const windowSize = (descriptor: number): number => {
  const base = 2 ** (10 + (descriptor >>> 3))
  return base + (base / 8) * (descriptor & 7)
}

/** The content of a single segment is its own window. */
const singleSegmentSize = (view: DataView, length: number): number => {
  const at = view.byteLength - length
  if (length === 1) return view.getUint8(at)
  if (length === 2) return view.getUint16(at, true) + 256
  if (length === 4) return view.getUint32(at, true)
  return Number(view.getBigUint64(at, true))
}

const readUint32 = async (stream: ForwardReader, name: string): Promise<number> => {
  const bytes = new Uint8Array(4)
  await stream.read(bytes, `${what}: ${name}`)
  return viewOf(bytes).getUint32(0, true)
}
