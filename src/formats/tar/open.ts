// Image → Disk for tar at rest. Opening reads the headers only, all of them; a block's checksum is
// compared when the block is first read. Memory is a run for each stretch of blocks, and a bit for
// each block.

import type { Disk } from '../../disk/disk.ts'
import { rangeWithin, throwIfAborted } from '../../disk/disk.ts'
import type { ByteRange, Extent } from '../../disk/extents.ts'
import { clip, coalesce } from '../../disk/extents.ts'
import { imageError, PastEndError } from '../../errors.ts'
import { hex } from '../../image/binary.ts'
import type { Image } from '../../image/image.ts'
import { KiB, MAXIMUM_DISK_SIZE } from '../../units.ts'
import { requireVirtualSize } from '../virtual-size.ts'
import type { BlockIndex } from './block-index.ts'
import { createBlockIndex } from './block-index.ts'
import { createBlockSequence, folderOf, requireSameDigest } from './block-sequence.ts'
import type { Checksum } from './checksums.ts'
import type { TarEntry } from './header.ts'
import { HEADER_LENGTH, paddedSize, parseHeader } from './header.ts'

const what = 'Cannot open tar'

/** See ImageFormat.open. */
export const openTar = async (image: Image): Promise<Disk> => {
  const walk = createHeaderWalk(image)
  const first = await walk.entry()
  if (first === undefined) throw imageError(what, 'the archive is empty')
  const options = { folder: folderOf(first.name), maximumSize: MAXIMUM_DISK_SIZE, what }
  const sequence = createBlockSequence(options)
  const builder = createBlockIndex()
  let checksum: Checksum | undefined
  let blockSize = 0
  for (let entry: TarEntry | undefined = first; entry !== undefined; entry = await walk.entry()) {
    const { offset, length, name } = sequence.place(entry)
    if (blockSize === 0) blockSize = length
    if (length > 0) builder.add(offset, walk.contentOffset, length)
    walk.pass(entry)
    const beside: TarEntry | undefined = await walk.entry()
    checksum = sequence.requireChecksum(beside, { offset, length, name })
    if (beside !== undefined) walk.pass(beside)
  }
  const size = sequence.finish()
  requireVirtualSize(what, size, MAXIMUM_DISK_SIZE)
  return createBlocksDisk({ image, size, blockSize, index: builder.finish(size), checksum })
}

/** Bytes read at once: what stands between two blocks fits. */
const windowSize = 4 * KiB

const createHeaderWalk = (image: Image) => {
  let at = 0
  let start = 0
  let window = new Uint8Array(0)

  const read = async (offset: number): Promise<Uint8Array> => {
    if (offset + HEADER_LENGTH > image.size) {
      const found = `the archive ends without its end mark: a header at ${hex(offset)} is missing`
      throw new PastEndError(what, found)
    }
    if (offset < start || offset + HEADER_LENGTH > start + window.length) {
      window = new Uint8Array(Math.min(windowSize, image.size - offset))
      await image.read(offset, window)
      start = offset
    }
    return window.subarray(offset - start, offset - start + HEADER_LENGTH)
  }
  const parse = async (offset: number): Promise<TarEntry | undefined> =>
    parseHeader(await read(offset), `at ${hex(offset)}`, what)

  return {
    /** Undefined at the end mark. */
    async entry(): Promise<TarEntry | undefined> {
      const entry = await parse(at)
      if (entry === undefined && (await parse(at + HEADER_LENGTH)) !== undefined) {
        const found = `one header of zeros at ${hex(at)}, and an entry after it`
        throw imageError(what, `${found}: two of them end an archive`)
      }
      return entry
    },
    /** Of the entry that was looked at last. */
    get contentOffset(): number {
      return at + HEADER_LENGTH
    },
    pass({ size }: TarEntry): void {
      at += HEADER_LENGTH + paddedSize(size)
    },
  }
}

interface BlocksDiskParts {
  readonly image: Image
  readonly size: number
  readonly blockSize: number
  readonly index: BlockIndex
  readonly checksum: Checksum | undefined
}

const createBlocksDisk = (parts: BlocksDiskParts): Disk => {
  const { image, size, blockSize, index } = parts
  const verified = new Uint8Array(Math.ceil(index.count / 8))

  const readBlock = async (offset: number, target: Uint8Array, signal?: AbortSignal) => {
    const inside = offset % blockSize
    const block = index.find(offset - inside)
    if (block === undefined) {
      target.fill(0)
      return
    }
    const { diskOffset, imageOffset, rank } = block
    if ((verified[rank >> 3]! & (1 << (rank & 7))) !== 0) {
      await image.read(imageOffset + inside, target, signal)
      return
    }
    const length = Math.min(blockSize, size - diskOffset)
    const whole = target.length === length ? target : new Uint8Array(length)
    await image.read(imageOffset, whole, signal)
    await verify(parts, diskOffset, imageOffset, whole)
    verified[rank >> 3]! |= 1 << (rank & 7)
    if (whole !== target) target.set(whole.subarray(inside, inside + target.length))
  }

  return {
    size,
    async *extents(range) {
      const asked = rangeWithin(size, range)
      for await (const extent of coalesce(extentsOf(index, size, asked))) {
        const part = clip(extent, asked)
        if (part !== undefined) yield part
      }
    },
    async read(offset, target, signal) {
      throwIfAborted(signal)
      rangeWithin(size, { offset, length: target.length })
      for (let done = 0; done < target.length;) {
        const left = blockSize - ((offset + done) % blockSize)
        const part = target.subarray(done, done + left)
        await readBlock(offset + done, part, signal)
        done += part.length
      }
    },
    close: () => image.close(),
  }
}

/** @throws AppError IMPORT_ERROR_GENERIC where the block is not what its checksum says */
const verify = async (
  { image, blockSize, checksum }: BlocksDiskParts,
  diskOffset: number,
  imageOffset: number,
  bytes: Uint8Array,
): Promise<void> => {
  if (checksum === undefined) return
  const hash = await checksum.create()
  hash.update(bytes)
  const expected = Buffer.alloc(checksum.length)
  await image.read(imageOffset + paddedSize(bytes.length) + HEADER_LENGTH, expected)
  const name = `block ${diskOffset / blockSize}`
  const block = { name, offset: diskOffset, length: bytes.length }
  requireSameDigest(hash.digest(), expected.toString('latin1'), block, what)
}

/** Gap-free over `asked`, not clipped to it. */
function* extentsOf(
  index: BlockIndex,
  size: number,
  asked: ByteRange,
): Generator<Extent, void, undefined> {
  let end = asked.offset
  const limit = asked.offset + asked.length
  for (const run of index.runsFrom(asked.offset)) {
    if (run.offset >= limit) break
    if (run.offset + run.length <= end) continue
    if (run.offset > end) yield { offset: end, length: run.offset - end, kind: 'hole' }
    yield { ...run, kind: 'data' }
    end = run.offset + run.length
  }
  if (end < limit) yield { offset: end, length: size - end, kind: 'hole' }
}
