// The disk in an archive at rest, once its headers have been read. A block's checksum is compared
// when the block is first read: nothing else of it goes out. Memory is a bit for each block.

import type { Disk } from '../../disk/disk.ts'
import type { ByteRange, Extent } from '../../disk/extents.ts'
import type { Image } from '../../image/image.ts'
import { createUnitDisk } from '../unit-disk.ts'
import type { BlockIndex } from './block-index.ts'
import { requireSameDigest } from './block-sequence.ts'
import type { Checksum } from './checksums.ts'
import { HEADER_LENGTH, paddedSize } from './header.ts'

interface BlocksDiskParts {
  readonly image: Image
  readonly size: number
  readonly blockSize: number
  readonly index: BlockIndex
  readonly checksum: Checksum | undefined
}

/** The disk owns and closes `image`. */
export const createBlocksDisk = (parts: BlocksDiskParts): Disk => {
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

  return createUnitDisk({
    size,
    unitSize: blockSize,
    extentsBetween(from, to) {
      const offset = from * blockSize
      return extentsOf(index, size, { offset, length: Math.min(to * blockSize, size) - offset })
    },
    async readFrom(block, inside, target, signal) {
      const part = target.subarray(0, blockSize - inside)
      await readBlock(block * blockSize + inside, part, signal)
      return part.length
    },
    close: () => image.close(),
  })
}

/** @throws AppError IMPORT_ERROR_GENERIC where the block is not what its checksum says */
const verify = async (
  { image, checksum }: BlocksDiskParts,
  diskOffset: number,
  imageOffset: number,
  bytes: Uint8Array,
): Promise<void> => {
  if (checksum === undefined) return
  const hash = await checksum.create()
  hash.update(bytes)
  const expected = Buffer.alloc(checksum.length)
  await image.read(imageOffset + paddedSize(bytes.length) + HEADER_LENGTH, expected)
  // Its number may be higher than its place: empty files count too.
  const name = `the block at ${diskOffset}`
  const block = { name, offset: diskOffset, length: bytes.length }
  requireSameDigest(hash.digest(), expected.toString('latin1'), block, 'Cannot read tar')
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
